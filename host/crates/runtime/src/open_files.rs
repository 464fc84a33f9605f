//! `wasi:filesystem`, where a directory was granted: what a guest has open of it is bounded, and it opens regular files and
//! directories only.
//!
//! File descriptors are those of the whole host: a guest that leaks them would take them from Kafka's connections. A file stays
//! open as long as a stream of it lives, so what counts is the file itself, not the guest's handles.

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

/// Files and directories that an instance may have open at once, the granted ones among them; and listings of directories that it
/// may hold, each of which is in memory as a whole.
pub(super) const MAX_OPEN: usize = 64;

/// What an instance has open.
#[derive(Default)]
pub(super) struct OpenFiles {
    files: Vec<Weak<File>>,
    /// The granted directories.
    granted: usize,
}

/// Tells the linker what [`Files`] is made of.
pub(super) struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

/// What the calls of `wasi:filesystem` need.
pub(super) struct Files<'a> {
    pub(super) wasi: WasiFilesystemCtxView<'a>,
    pub(super) open: &'a mut OpenFiles,
    pub(super) log: &'a GuestLog,
}

impl OpenFiles {
    /// Of an instance that is granted so many directories.
    pub(super) fn new(granted: usize) -> Self {
        Self { files: Vec::new(), granted }
    }

    /// Whether one more may be opened.
    fn has_room(&mut self) -> bool {
        self.files.retain(|file| file.strong_count() > 0);
        self.granted + self.files.len() < MAX_OPEN
    }

    fn add(&mut self, descriptor: &Descriptor) {
        self.files.push(Arc::downgrade(match descriptor {
            Descriptor::File(file) => &file.file,
            Descriptor::Dir(dir) => &dir.dir,
        }));
    }
}

impl Files<'_> {
    /// WASI has no code for it. The guest gets that of a quota (EDQUOT), and the log says what it is.
    fn too_many(&self, what: &str) -> FsError {
        let line =
            format!("too many open files: the plugin has {MAX_OPEN} {what} open, the most for an instance; close some");
        match self.log.line(Level::Error, &line) {
            Ok(()) => ErrorCode::Quota.into(),
            Err(vague) => FsError::trap(wasmtime::Error::from(vague)),
        }
    }
}

fn listings(table: &mut ResourceTable) -> usize {
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

/// Calls that open nothing.
macro_rules! pass_on {
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
        // To open a named pipe waits for its other end, and a device may be endless.
        let there = HostDescriptor::stat_at(&mut self.wasi, Resource::new_borrow(dir.rep()), path_flags, path.clone());
        let is_file = there.as_ref().map_or(true, |stat| {
            matches!(stat.type_, DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink)
        });
        if !is_file {
            return Err(ErrorCode::Unsupported.into());
        }
        if !self.open.has_room() {
            return Err(self.too_many("files and directories"));
        }
        let opened = HostDescriptor::open_at(&mut self.wasi, dir, path_flags, path, open_flags, flags)?;
        self.open.add(self.wasi.table.get(&opened)?);
        Ok(opened)
    }

    fn read_directory(&mut self, dir: Handle) -> FsResult<Resource<ReaddirIterator>> {
        if listings(self.wasi.table) >= MAX_OPEN {
            return Err(self.too_many("listings of directories"));
        }
        HostDescriptor::read_directory(&mut self.wasi, dir)
    }

    pass_on! {
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
