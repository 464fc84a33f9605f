//! `wasi:filesystem` for granted directories. It limits the number of open files, and opens only regular files and directories.
//!
//! All guests share the file descriptors of the host process: a guest that leaks them would starve the Kafka connections. A stream
//! keeps its file open, so the limit counts files, not handles of the guest.

use std::fs::File;
use std::sync::{Arc, Weak};

use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::bindings::sync::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, Filesize, Host, HostDescriptor,
    HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::bindings::sync::io::streams::{InputStream, OutputStream};
use wasmtime_wasi::p2::{FsError, FsResult, ReaddirIterator};

use super::bindings::batch_world::mapper_host::mapper::logging::Level;
use super::guest_log::GuestLog;

/// Open files and directories per instance, including the granted ones. The same limit applies to directory listings, which are
/// entirely in memory.
pub(super) const MAX_OPEN: usize = 64;

#[derive(Default)]
pub(super) struct OpenFiles {
    files: Vec<Weak<File>>,
    granted_dirs: usize,
}

pub(super) struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

/// The part of the guest state that `wasi:filesystem` needs.
pub(super) struct Files<'a> {
    pub(super) wasi: WasiFilesystemCtxView<'a>,
    pub(super) open: &'a mut OpenFiles,
    pub(super) log: &'a GuestLog,
}

impl OpenFiles {
    pub(super) fn new(granted_dirs: usize) -> Self {
        Self { files: Vec::new(), granted_dirs }
    }

    fn has_capacity(&mut self) -> bool {
        self.files.retain(|file| file.strong_count() > 0);
        self.granted_dirs + self.files.len() < MAX_OPEN
    }

    fn add(&mut self, descriptor: &Descriptor) {
        self.files.push(Arc::downgrade(match descriptor {
            Descriptor::File(file) => &file.file,
            Descriptor::Dir(dir) => &dir.dir,
        }));
    }
}

impl Files<'_> {
    /// WASI has no error code for too many open files. The guest gets the quota error (EDQUOT), and the log names the cause.
    fn quota_error(&self, kind: &str) -> FsError {
        let line =
            format!("too many open files: the instance has {MAX_OPEN} {kind} open, which is the limit. Close some");
        match self.log.log_line(Level::Error, &line) {
            Ok(()) => ErrorCode::Quota.into(),
            Err(uncertain) => FsError::trap(wasmtime::Error::from(uncertain)),
        }
    }
}

fn count_listings(table: &mut ResourceTable) -> usize {
    table.iter_mut().filter(|entry| entry.is::<ReaddirIterator>()).count()
}

impl Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        Host::convert_error_code(&mut self.wasi, error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        Host::filesystem_error_code(&mut self.wasi, error)
    }
}

/// Forwards the calls that open nothing.
macro_rules! forward {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {$(
        fn $name(&mut self, $($argument: $kind),*) -> $result {
            HostDescriptor::$name(&mut self.wasi, $($argument),*)
        }
    )*};
}

type Handle = Resource<Descriptor>;

impl HostDescriptor for Files<'_> {
    fn open_at(
        &mut self,
        dir: Handle,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Handle> {
        // Opening a named pipe blocks until its other end is open, and a device may have no end.
        let stat = HostDescriptor::stat_at(&mut self.wasi, Resource::new_borrow(dir.rep()), path_flags, path.clone());
        let is_supported = stat.as_ref().map_or(true, |stat| {
            matches!(stat.type_, DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink)
        });
        if !is_supported {
            return Err(ErrorCode::Unsupported.into());
        }
        if !self.open.has_capacity() {
            return Err(self.quota_error("files and directories"));
        }
        let opened = HostDescriptor::open_at(&mut self.wasi, dir, path_flags, path, open_flags, flags)?;
        self.open.add(self.wasi.table.get(&opened)?);
        Ok(opened)
    }

    fn read_directory(&mut self, dir: Handle) -> FsResult<Resource<ReaddirIterator>> {
        if count_listings(self.wasi.table) >= MAX_OPEN {
            return Err(self.quota_error("directory listings"));
        }
        HostDescriptor::read_directory(&mut self.wasi, dir)
    }

    forward! {
        fn advise(file: Handle, offset: Filesize, length: Filesize, advice: Advice) -> FsResult<()>;
        fn sync_data(file: Handle) -> FsResult<()>;
        fn get_flags(file: Handle) -> FsResult<DescriptorFlags>;
        fn get_type(file: Handle) -> FsResult<DescriptorType>;
        fn set_size(file: Handle, size: Filesize) -> FsResult<()>;
        fn set_times(file: Handle, accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<()>;
        fn read(file: Handle, length: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)>;
        fn write(file: Handle, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize>;
        fn sync(file: Handle) -> FsResult<()>;
        fn create_directory_at(dir: Handle, path: String) -> FsResult<()>;
        fn stat(file: Handle) -> FsResult<DescriptorStat>;
        fn stat_at(dir: Handle, flags: PathFlags, path: String) -> FsResult<DescriptorStat>;
        fn set_times_at(dir: Handle, flags: PathFlags, path: String, accessed: NewTimestamp, modified: NewTimestamp)
            -> FsResult<()>;
        fn link_at(dir: Handle, flags: PathFlags, path: String, new_dir: Handle, new_path: String) -> FsResult<()>;
        fn drop(file: Handle) -> wasmtime::Result<()>;
        fn readlink_at(dir: Handle, path: String) -> FsResult<String>;
        fn remove_directory_at(dir: Handle, path: String) -> FsResult<()>;
        fn rename_at(dir: Handle, path: String, new_dir: Handle, new_path: String) -> FsResult<()>;
        fn symlink_at(dir: Handle, target: String, path: String) -> FsResult<()>;
        fn unlink_file_at(dir: Handle, path: String) -> FsResult<()>;
        fn read_via_stream(file: Handle, offset: Filesize) -> FsResult<Resource<InputStream>>;
        fn write_via_stream(file: Handle, offset: Filesize) -> FsResult<Resource<OutputStream>>;
        fn append_via_stream(file: Handle) -> FsResult<Resource<OutputStream>>;
        fn is_same_object(one: Handle, other: Handle) -> wasmtime::Result<bool>;
        fn metadata_hash(file: Handle) -> FsResult<MetadataHashValue>;
        fn metadata_hash_at(dir: Handle, flags: PathFlags, path: String) -> FsResult<MetadataHashValue>;
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    fn read_directory_entry(&mut self, listing: Resource<ReaddirIterator>) -> FsResult<Option<DirectoryEntry>> {
        HostDirectoryEntryStream::read_directory_entry(&mut self.wasi, listing)
    }

    fn drop(&mut self, listing: Resource<ReaddirIterator>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.wasi, listing)
    }
}
