//! What each version of the history declares, costs and may use.

use mapper_api::version_details::{GrantsView, ImportView, PluginFileView, VersionDetails, VersionList};
use maud::{Markup, html};

use crate::format::{bytes, count, safe, short_digest, time};

/// The versions that are shown.
const MAX_VERSIONS: usize = 50;

pub(super) fn section(list: &VersionList) -> Markup {
    html! {
        section {
            h2 { "What the versions are" }
            (grants(&list.grants))
            div .scroll tabindex="0" role="group" aria-label="Table" {
                table {
                    thead { tr {
                        th scope="col" { "Version" } th scope="col" { "Last active since" } th scope="col" .number { "Records" }
                        th scope="col" .number { "Time of a record" } th scope="col" .number { "Size" } th scope="col" { "Contract" }
                        th scope="col" { "Imports" }
                    } }
                    tbody { @for version in list.versions.iter().take(MAX_VERSIONS) { (row(version)) } }
                }
            }
            p .quiet {
                "The time of a record is the mean of the calls in committed transactions. Of a version whose file is not kept any more, only its history is known."
            }
        }
    }
}

fn row(details: &VersionDetails) -> Markup {
    let VersionDetails { version, current, last_since, records_in, mapping_us_per_record, file } = details;
    html! {
        tr .good[*current] {
            th scope="row" {
                (safe(&version.name)) " " (safe(&version.version)) @if *current { " " span .tag { "active" } }
                p .quiet { code title=(version.digest) { (short_digest(&version.digest)) } }
            }
            td { (time(last_since)) }
            td .number { (count(*records_in)) }
            td .number { @match mapping_us_per_record { Some(us) => { (format!("{us:.1} µs")) } None => "–" } }
            @match file {
                Some(file) => {
                    td .number { (bytes(file.bytes)) }
                    td { (contract(file)) }
                    td { (imports(&file.imports, &version.digest)) }
                }
                None => { td .number { "–" } td colspan="2" { span .quiet { "The file is not kept any more." } } }
            }
        }
    }
}

fn contract(file: &PluginFileView) -> Markup {
    html! {
        (file.contract.as_deref().map_or_else(|| "none".into(), safe))
        @if let Some(world) = &file.world { p .quiet { "world " (safe(world)) } }
    }
}

/// Those that are restricted come first: they show what a plugin could use if it were granted.
fn imports(imports: &[ImportView], digest: &str) -> Markup {
    let mut sorted: Vec<&ImportView> = imports.iter().collect();
    sorted.sort_by_key(|import| import.access == "provided");
    let restricted = imports.iter().filter(|import| import.access == "restricted").count();
    html! {
        details id=(format!("imports-{}", short_digest(digest))) {
            summary { (imports.len()) " imports" @if restricted > 0 { ", " (restricted) " of them restricted" } }
            ul { @for import in sorted { li { code { (safe(&import.name)) } " (" (safe(&import.access)) "): " (safe(&import.description)) } } }
        }
    }
}

fn grants(grants: &GrantsView) -> Markup {
    let GrantsView { variables, directories, deterministic } = grants;
    html! {
        p {
            "Plugins of this pipeline have no network. "
            @if variables.is_empty() { "No environment variable is granted (" code { "--allow-env" } "). " }
            @else { "Environment variables: " @for name in variables { code { (safe(name)) } " " } "(" code { "--allow-env" } "). " }
            @if directories.is_empty() { "No directory is granted (" code { "--allow-dir" } ")." }
            @else {
                "Directories (" code { "--allow-dir" } "):"
                @for directory in directories {
                    " " code { (safe(&directory.guest)) } " is " code { (safe(&directory.host)) } @if directory.writable { ", writable" } @else { ", read-only" } ";"
                }
            }
            @if *deterministic { " Clocks are fixed (" code { "--deterministic" } ")." }
        }
    }
}
