//! A program with all that it starts: they end together.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// A running program, and whatever it has started since; dropping it stops them all.
///
/// Some programs do their work in another process: `jco run` starts a `node`, and would leave it behind.
pub(crate) struct Group {
    leader: Arc<Mutex<Leader>>,
}

struct Leader {
    child: Child,
    status: Option<ExitStatus>,
}

impl Group {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let leader = Arc::new(Mutex::new(Leader { child, status: None }));
        lock(&ALL).push(Arc::downgrade(&leader));
        Ok(Self { leader })
    }

    /// How the program ended, once it has; what it started is stopped by then.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub(crate) fn ended(&self) -> io::Result<Option<ExitStatus>> {
        let mut leader = lock(&self.leader);
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if leader.status.is_none() && waitid(WaitId::Pid(leader.id()), ended)?.is_some() {
            leader.stop()?;
        }
        Ok(leader.status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody is left to tell that one of them cannot be stopped.
        let _ = lock(&self.leader).stop();
    }
}

impl Leader {
    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn stop(&mut self) -> io::Result<()> {
        if self.status.is_none() {
            // Before the leader is collected, so that its id, which is that of the group, cannot be another's.
            let _gone_already = kill_process_group(self.id(), Signal::KILL);
            self.status = Some(self.child.wait()?);
        }
        Ok(())
    }
}

/// Stops what still runs, such as the servers of a check that hangs.
pub(crate) fn stop_all() {
    let all = std::mem::take(&mut *lock(&ALL));
    for leader in all.iter().filter_map(Weak::upgrade) {
        let _ = lock(&leader).stop();
    }
}

static ALL: Mutex<Vec<Weak<Mutex<Leader>>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
