//! A program that answers each line of JSON by one.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tokio::task::spawn_blocking;

/// A running program that reads a JSON value a line and answers it by another; dropping it ends the program.
pub struct Dialogue {
    child: Child,
    // None while an answer is awaited, and from then on when nobody waited for it.
    pipes: Option<Pipes>,
}

struct Pipes {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Dialogue {
    /// Starts a program, whose complaints go where ours go.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = match (child.stdin.take(), child.stdout.take()) {
            (Some(to), Some(from)) => Some(Pipes { to, from: BufReader::new(from) }),
            _ => None,
        };
        Ok(Self { child, pipes })
    }

    /// Says one thing and waits for the answer. Whoever stops waiting can only drop the dialogue.
    ///
    /// # Errors
    ///
    /// When the program has ended, answers something else than JSON, or has not answered before.
    pub async fn ask(&mut self, asked: &Value) -> io::Result<Value> {
        let mut pipes = self.pipes.take().ok_or_else(|| io::Error::other("it has not answered before"))?;
        let line = format!("{asked}\n");
        // In a thread, as the processes of tokio are a feature of it that would have the engine built twice.
        let (pipes, answer) = spawn_blocking(move || {
            let answer = pipes.say(&line);
            (pipes, answer)
        })
        .await?;
        self.pipes = Some(pipes);
        Ok(serde_json::from_str(&answer?)?)
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // The end of its input would stop it as well, but not one that is busy. One that has ended is only collected.
        let _ended_already = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pipes {
    fn say(&mut self, line: &str) -> io::Result<String> {
        self.to.write_all(line.as_bytes())?;
        self.to.flush()?;
        let mut answer = String::new();
        match self.from.read_line(&mut answer)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the program ended without an answer")),
            _ => Ok(answer),
        }
    }
}
