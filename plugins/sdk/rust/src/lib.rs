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
//! What the function returns: any error that can be displayed sends the record to the dead letters with that text;
//! `()` or `None` skips it; an [`Output`], a [`Json`] value, or an `Option`, `Vec` or array of these is
//! produced. An output keeps the key, headers and timestamp of its input unless it sets its own.
//!
//! A mapper with settings (`--set KEY=VALUE`) names a second function, which makes a value that is passed along:
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
//! Behind it lies the batch world of `wit/mapper.wit`; none of it shows.

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

/// Writes a line to the host's log, with the topic, partition and offset of the record that is being mapped.
pub fn log(level: Level, message: &str) {
    progress::announce();
    guest::bindings::mapper_host::mapper::logging::log(level, message);
}

/// Makes a function the mapper of this crate; see the [crate's documentation](crate).
///
/// The mapper's name and version are those of the crate.
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

            // Natively, as in unit tests, nothing is exported; this keeps the author's functions from being called unused.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn(&$crate::Settings) -> Result<$crate::guest::MapBatch, String> =
                <Mapper as $crate::guest::Plugin>::run;
        };
    };
}
