//! Reads and checks limits and grants, for every command that runs a plugin.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::CliError;
use super::readers::{HOUR, within};
use super::sources::Sources;
use crate::config::values::{self, Read};
use mapper_runtime::{GrantedDir, Grants, Limits};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Threads have 2 MiB, and the host needs a part of it.
const MOST_STACK: u64 = MIB;
/// The helper process uses some 30 MiB before it compiles.
const LEAST_COMPILER: u64 = 64 * MIB;
const MOST_COMPILER: u64 = 1024 * 1024 * MIB;

/// The limits of an instance.
///
/// # Errors
/// The first wrong setting, its source, and the allowed values.
pub(super) fn limits(sources: &Sources<'_>) -> Result<Limits, CliError> {
    let recycle_after = sources.optional("recycle-after", |text| values::count(text, 1..=u64::MAX))?;
    Ok(Limits {
        record_timeout: sources.value("record-timeout", within(Duration::from_millis(10), HOUR))?,
        memory_bytes: sources.value("memory-limit", |text| values::size(text, MIB..=4096 * MIB))?,
        table_elements: sources.value("table-limit", |text| values::count(text, 1000..=10_000_000))?,
        stack_bytes: sources.value("stack-limit", |text| values::size(text, 64 * KIB..=MOST_STACK))?,
        output_bytes: sources.value("output-limit", |text| values::size(text, 64 * KIB..=1024 * MIB))?,
        recycle_after: recycle_after.and_then(NonZeroUsize::new),
        compile_timeout: sources.value("compile-timeout", within(Duration::from_secs(1), HOUR))?,
        compile_memory_bytes: sources.value("compile-memory", compiler_memory)? as u64,
    })
}

fn compiler_memory(text: &str) -> Read<usize> {
    values::size(text, LEAST_COMPILER..=MOST_COMPILER)
}

/// The grants of a plugin, with the present values of variables.
///
/// # Errors
/// See [`limits`]; also if a variable is not set or not UTF-8.
pub(super) fn grants(sources: &Sources<'_>) -> Result<Grants, CliError> {
    let mut grants = Grants { deterministic: sources.value("deterministic", values::switch)?, ..Grants::default() };
    for given in sources.list("allow-env") {
        let name = given.read(variable_name)?;
        let Some(value) = sources.environment.variable(&name) else {
            return Err(given.refuse("the host's environment has no such variable; set it, or leave it out here"));
        };
        let value = value.to_str().ok_or_else(|| given.refuse("its value is not UTF-8"))?;
        if grants.env.iter().all(|(other, _)| *other != name) {
            grants.env.push((name, value.to_owned()));
        }
    }
    for given in sources.list("allow-dir") {
        let dir = given.read(granted_dir)?;
        if grants.dirs.iter().any(|other| other.guest == dir.guest) {
            return Err(given.refuse("another granted folder has the same path in the plugin"));
        }
        grants.dirs.push(dir);
    }
    Ok(grants)
}

fn variable_name(text: &str) -> Read<String> {
    let legal = !text.contains(['=', '\0']) && !text.chars().any(char::is_whitespace);
    if legal {
        Ok(text.to_owned())
    } else {
        Err("give the name of a variable, such as TZ; its value is the host's".to_owned())
    }
}

/// `HOST::GUEST`, or `HOST::GUEST:ro`.
fn granted_dir(text: &str) -> Read<GrantedDir> {
    let allowed = || "give HOST::GUEST or HOST::GUEST:ro, such as /srv/geo::/geo:ro".to_owned();
    let (host, guest) = text.split_once("::").ok_or_else(allowed)?;
    let (guest, writable) = guest.strip_suffix(":ro").map_or((guest, true), |guest| (guest, false));
    if host.is_empty() || guest.is_empty() || guest.contains(':') {
        return Err(allowed());
    }
    Ok(GrantedDir { host: PathBuf::from(host), guest: guest.to_owned(), writable })
}
