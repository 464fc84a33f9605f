//! The generated host side of `wit/mapper.wit`; nothing outside `plugin/` sees it.

/// The world of one record a call.
pub(super) mod record_world {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "mapper",
        with: {
            "mapper-host:mapper/logging@1.0.0": super::batch_world::mapper_host::mapper::logging,
        },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The world of a batch a call.
pub(super) mod batch_world {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "mapper-batch",
        imports: { "mapper-host:mapper/logging.log": trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}
