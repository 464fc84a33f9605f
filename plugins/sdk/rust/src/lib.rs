//! Write a mapper in Rust: one function from record to result.
//!
//! ```
//! use mapper_sdk::{Output, Record, mapper};
//!
//! mapper!(shout);
//!
//! fn shout(record: &Record) -> Result<Output, std::str::Utf8Error> {
//!     let text = std::str::from_utf8(record.value.unwrap_or_default())?;
//!     Ok(Output::new(text.to_uppercase()))
//! }
//! # fn main() {}
//! ```
//!
//! The function returns one of these:
//!
//! - An [`Output`], a [`Json`] value, a [`json::Object`], or an `Option`, `Vec` or array of these: the host produces the outputs in this
//!   order. An output has the key, headers and timestamp of the input record unless it sets its own.
//! - `()`, `None` or an empty list: the host skips the record.
//! - An error that implements [`Display`](std::fmt::Display): the host sends the record to the dead letters with this text.
//!
//! A panic aborts the instance. It costs this record only: the host sends it to the dead letters with the message and the backtrace.
//!
//! A mapper with settings (`--set KEY=VALUE`) names a second function. The host calls it once per instance, before the first record. Its
//! value is the first argument of the mapper:
//!
//! ```
//! use mapper_sdk::{Output, Record, Settings, mapper};
//!
//! mapper!(only, configure = wanted);
//!
//! fn wanted(settings: &Settings) -> Result<String, String> {
//!     settings.only(&["key"])?;
//!     Ok(settings.required("key")?.to_owned())
//! }
//!
//! fn only(key: &mut String, record: &Record) -> Result<Option<Output>, String> {
//!     Ok((record.key == Some(key.as_bytes())).then(Output::keep))
//! }
//! # fn main() {}
//! ```
//!
//! The crate implements the world `mapper-batch` of `wit/mapper.wit`, the contract between mapper-host and a mapper.

mod columns;
#[doc(hidden)]
pub mod guest;
pub mod json;
mod output;
mod progress;
mod record;
mod settings;

pub use guest::bindings::mapper_host::mapper::logging::Level;
pub use output::{IntoOutputs, Json, Output};
pub use record::{Header, Headers, Record};
pub use settings::Settings;

/// Writes a line to the log of the host, with the topic, partition and offset of the current record.
///
/// The host cuts a line after 8 KiB (`wit/mapper.wit`). Lines on stdout (level info) and stderr (level warn) are logged, too.
pub fn log(level: Level, message: &str) {
    progress::report_current();
    guest::bindings::mapper_host::mapper::logging::log(level, message);
}

/// Exports a function as the mapper of this crate. The [crate documentation](crate) has examples.
///
/// `mapper!(map)`: `map` takes a [`&Record`](Record) and returns a `Result` whose value implements [`IntoOutputs`] and whose error
/// implements [`Display`](std::fmt::Display). The mapper refuses every setting.
///
/// `mapper!(map, configure = configure)`: `configure` takes [`&Settings`](Settings) and returns a `Result<State, Error>`. `map` takes
/// `&mut State` and a [`&Record`](Record). If `configure` returns an error, the host does not start and prints the error.
///
/// The name and version of the mapper are those of the crate, at most 200 bytes each (`wit/mapper.wit`).
#[macro_export]
macro_rules! mapper {
    ($map:path $(,)?) => {
        $crate::mapper!(@guest $crate::guest::no_settings, (), |_state, record| $map(record));
    };
    ($map:path, configure = $configure:path $(,)?) => {
        $crate::mapper!(@guest $configure, _, |state, record| $map(state, record));
    };
    (@guest $configure:path, $state:ty, |$s:ident, $record:ident| $call:expr) => {
        const _: () = {
            struct Mapper;

            impl $crate::guest::Plugin for Mapper {
                const NAME: &'static str = env!("CARGO_PKG_NAME");
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                fn run(settings: &$crate::Settings) -> Result<$crate::guest::MapBatch, String> {
                    let mut state = $configure(settings).map_err(|error| format!("{error:#}"))?;
                    Ok(Box::new(move |batch| {
                        $crate::guest::map_batch(batch, |$record, outputs| {
                            let $s = &mut state;
                            match $call {
                                Ok(output) => Ok($crate::IntoOutputs::write(output, outputs)),
                                Err(error) => Err(outputs.reject(error)),
                            }
                        })
                    }))
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::guest::export!(Mapper);

            // A native build, as for unit tests, exports nothing. Without this use, the compiler reports unused functions.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn(&$crate::Settings) -> Result<$crate::guest::MapBatch, String> =
                <Mapper as $crate::guest::Plugin>::run;
        };
    };
}
