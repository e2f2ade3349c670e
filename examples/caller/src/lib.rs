//! A component that uses the urlpool client by composition.
//!
//! ```sh
//! cargo build -p example-caller --target wasm32-wasip2 --release
//! urlpool component -o urlpool.wasm
//! wac plug target/wasm32-wasip2/release/example_caller.wasm --plug urlpool.wasm -o app.wasm
//! ```

#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "example:caller/caller",
        path: ["../../wit", "wit"],
        generate_all,
    });
}

use bindings::urlpool::client::messages::Form;
use bindings::urlpool::client::pool::Pool;

struct Caller;

impl bindings::Guest for Caller {
    fn run(api_url: String) -> Result<String, String> {
        let http_pool = Pool::from_url(&api_url, None).map_err(|error| error.message)?;

        let fields = [("v".to_owned(), "1.0".to_owned()), ("q".to_owned(), "urllib3".to_owned())];
        let r = http_pool.get(&api_url, &fields).map_err(|error| error.message)?;
        let text = r.read_text(1 << 20).map_err(|error| error.message)?;

        // The same connection carries the next request, where the host reuses connections.
        let form = Form::new();
        form.append_field("comment", &text);
        form.append_file("report", "report.txt", text.as_bytes(), Some("text/plain")).map_err(|error| error.message)?;
        let posted = http_pool.post("reports", form).map_err(|error| error.message)?;
        Ok(format!("{} {}", r.status(), posted.status()))
    }
}

bindings::export!(Caller with_types_in bindings);
