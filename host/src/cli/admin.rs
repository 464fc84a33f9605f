//! The settings of what is seen of the host from outside, read and checked.

use super::CliError;
use super::sources::Sources;
use crate::config::AdminConfig;
use crate::config::admin::address;

/// Where the admin server listens, if there is to be one.
pub(super) fn config(sources: &Sources<'_>) -> Result<Option<AdminConfig>, CliError> {
    let given = sources.present("admin");
    let asked = given.explicit();
    Ok(given.read(address)?.map(|address| AdminConfig { address, asked }))
}
