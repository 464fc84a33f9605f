//! Exports of the world `mapper-batch`, for the macro [`mapper!`](crate::mapper). Not a public interface.

use std::cell::RefCell;

use crate::columns::{BatchReader, OutputColumns};
use crate::{Record, Settings, progress};

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "mapper-batch",
        path: "wit",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "mapper_sdk::guest::bindings",
    });
}

pub use bindings::exports::mapper_host::mapper::batch_mapper::{Batch, Verdicts};
use bindings::exports::mapper_host::mapper::{batch_mapper, plugin};

/// A configured mapper.
pub type MapBatch = Box<dyn FnMut(Batch) -> Verdicts>;

/// The values that the macro takes from the crate of the mapper.
pub trait Plugin {
    /// The name of the mapper.
    const NAME: &'static str;
    /// The version of the mapper.
    const VERSION: &'static str;
    /// Configures the mapper.
    ///
    /// # Errors
    /// If the mapper refuses the settings.
    fn run(settings: &Settings) -> Result<MapBatch, String>;
}

thread_local! {
    static CONFIGURED: RefCell<Option<MapBatch>> = const { RefCell::new(None) };
}

/// The exports of the world for a [`Plugin`].
pub struct World<P>(std::marker::PhantomData<P>);

impl<P: Plugin> plugin::Guest for World<P> {
    fn describe() -> plugin::Info {
        plugin::Info { name: P::NAME.into(), version: P::VERSION.into() }
    }

    fn configure(settings: Vec<(String, String)>) -> Result<(), String> {
        progress::report_before_panic_message();
        let map = P::run(&Settings::new(settings))?;
        CONFIGURED.set(Some(map));
        Ok(())
    }
}

impl<P: Plugin> batch_mapper::Guest for World<P> {
    fn process(batch: Batch) -> Verdicts {
        CONFIGURED.with_borrow_mut(|map| map.as_mut().expect("the host calls configure before process")(batch))
    }
}

/// Exports the world. For WebAssembly targets only.
#[macro_export]
#[doc(hidden)]
macro_rules! __export {
    ($mapper:ty) => {
        type World = $crate::guest::World<$mapper>;
        $crate::guest::bindings::export_world!(World with_types_in $crate::guest::bindings);
    };
}
pub use crate::__export as export;

/// Maps a batch record by record. An `Err` of `map` means that it has written the error to the columns.
pub fn map_batch(batch: Batch, mut map: impl FnMut(&Record<'_>, &mut OutputColumns) -> Result<(), ()>) -> Verdicts {
    let reader = BatchReader::new(&batch);
    let mut outputs = OutputColumns::for_batch(&batch);
    progress::begin_batch();
    for index in 0..reader.len() {
        progress::begin_record(index as u32);
        let rejected = map(&reader.record(index), &mut outputs).is_err();
        outputs.end_record(rejected);
    }
    progress::end_batch();
    outputs.finish()
}

/// The `configure` of a mapper without settings: refuses every setting, so that a misspelled one is reported.
///
/// # Errors
/// If there is a setting.
pub fn no_settings(settings: &Settings) -> Result<(), String> {
    settings.only(&[])
}
