//! The version that maps letters: from a file, or from the history of the host.

use std::path::Path;
use std::sync::Arc;

use mapper_author::config::GuestConfig;
use mapper_author::guest::{Guest, build_if_absent};
use mapper_core::identity::Version;
use mapper_core::shutdown::Halt;
use mapper_runtime::Plugin;
use mapper_terminal::output;
use mapper_versions::archive::{Archive, Unclear};

use super::super::history::{self, describe};
use crate::config::{HistoryPlace, VersionChoice};

/// The most versions that an error lists.
const MAX_LISTED: usize = 8;

/// Loads the version, and prints which one it is.
///
/// # Errors
/// If there is no such version, or it can't be loaded.
pub(super) fn load(guest: &GuestConfig, choice: &VersionChoice) -> Result<Arc<Plugin>, Halt> {
    let (plugin, from) = match choice {
        VersionChoice::File(file) => (load_file(guest, file)?, file.display().to_string()),
        VersionChoice::Earlier { digest, place } => {
            let archive = history::open(place)?;
            let version = archive.find(digest).map_err(|unclear| not_found(&archive, digest, place, unclear))?;
            (load_stored(guest, &archive, &version, place)?, "the history".to_owned())
        }
        VersionChoice::Active { place, configured } => {
            let archive = history::open(place)?;
            match (archive.active(), configured) {
                (Ok(version), _) => {
                    (load_stored(guest, &archive, &version, place)?, "the history, where it is active".to_owned())
                }
                (Err(Unclear::None), Some(file)) => {
                    (load_file(guest, file)?, format!("the settings: {}", file.display()))
                }
                (Err(unclear), _) => return Err(no_active(place, unclear)),
            }
        }
    };
    let identity = &plugin.identity;
    let (name, version, digest) = (&identity.name, &identity.version, &identity.digest);
    output::eprint_line(format!("the records are mapped by {name} {version}, digest {digest}, from {from}"));
    Ok(plugin)
}

fn load_file(guest: &GuestConfig, file: &Path) -> Result<Arc<Plugin>, Halt> {
    build_if_absent(file)?;
    Guest::new(guest, file)?.load(&guest.set)
}

fn load_stored(
    guest: &GuestConfig,
    archive: &Archive,
    version: &Version,
    place: &HistoryPlace,
) -> Result<Arc<Plugin>, Halt> {
    let Some(file) = archive.file(&version.digest) else {
        return Err(Halt::configuration(format!(
            "the plugin of {version} is not on this machine any more: the history of {} has the version, and its folder keeps the files of \
             the last versions only. Give the plugin with --plugin FILE",
            describe(place)
        )));
    };
    let plugin = Guest::new(guest, &file)?.load(&guest.set)?;
    if plugin.identity.digest.to_string() != version.digest {
        return Err(Halt::configuration(format!(
            "the stored plugin of {version} is damaged: {}: its digest is {}. Give the plugin with --plugin FILE",
            file.display(),
            plugin.identity.digest
        )));
    }
    Ok(plugin)
}

fn not_found(archive: &Archive, digest: &str, place: &HistoryPlace, unclear: Unclear) -> Halt {
    let place = describe(place);
    let known = archive.versions();
    Halt::configuration(match unclear {
        Unclear::None if known.is_empty() => format!(
            "flag --version: there is no history of versions of {place}. Run the command on the machine of the host, or give the plugin \
             with --plugin FILE"
        ),
        Unclear::None => format!(
            "flag --version: no version in the history of {place} has a digest that begins with {digest}. Give the plugin with \
             --plugin FILE, or one of: {}",
            list(&known)
        ),
        Unclear::Several(found) => {
            format!("flag --version: {digest} may be any of: {}. Give more digits", list(&found))
        }
    })
}

fn no_active(place: &HistoryPlace, unclear: Unclear) -> Halt {
    let place = describe(place);
    Halt::configuration(match unclear {
        Unclear::None => format!(
            "no version to map the records: there is no history of versions of {place}. Give the plugin with --plugin FILE, or run the \
             command on the machine of the host. --to-input sends the records to their input topics instead"
        ),
        Unclear::Several(found) => format!(
            "no version to map the records: the hosts of {place} have different active versions: {}. Give one with --version DIGEST",
            list(&found)
        ),
    })
}

fn list(versions: &[Version]) -> String {
    let mut texts: Vec<String> = versions.iter().rev().take(MAX_LISTED).map(ToString::to_string).collect();
    if versions.len() > MAX_LISTED {
        texts.push(format!("{} more (mapper-host history)", versions.len() - MAX_LISTED));
    }
    texts.join(", ")
}
