//! `/versions`: what the versions of the history are, and what they may use.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use mapper_api::version_details::{
    GrantedDirectory, GrantsView, ImportView, PluginFileView, VersionDetails, VersionList,
};
use mapper_api::versions::TermView;
use mapper_core::counts::Tally;
use mapper_runtime::{Grants, Outline};

use super::dead_letters::letters_of;
use super::json::Json;
use super::pipelines::OfPipeline;
use super::versions::{Failed, control};
use crate::pipelines::PipelineRegistry;

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    Router::new().route("/versions", get(list))
}

async fn list(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
) -> Result<Json<VersionList>, Failed> {
    let control = control(&entry)?;
    let grants = grants(letters_of(&entry)?.grants());
    let (history, store, active) = (control.history(), control.store.clone(), entry.active_plugin());
    // A plugin can have many megabytes, and the disk can be slow.
    let outlines = registry.outlines.clone();
    let read = registry.plugin_files.run(move |_| {
        let file = |digest: &str| {
            let of_active = active.as_ref().filter(|active| active.identity.digest.to_string() == digest);
            let known = of_active.map(|active| (active.identity.bytes, active.outline.clone()));
            known.or_else(|| outlines.get(store.as_ref()?, digest)).map(|(bytes, outline)| view(bytes, &outline))
        };
        Ok(details(&history, file))
    });
    Ok(Json(VersionList { versions: read.await?, grants }))
}

/// The versions of a history that has the latest term first.
fn details(history: &[TermView], file: impl Fn(&str) -> Option<PluginFileView>) -> Vec<VersionDetails> {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for term in history {
        let sum = tallies.entry(&term.version.digest).or_default();
        sum.records_in += term.tally.records_in;
        sum.mapping_us += term.tally.mapping_us;
    }
    let latest = history.iter().filter_map(|term| {
        let tally = tallies.remove(&*term.version.digest)?;
        Some(VersionDetails {
            version: term.version.clone(),
            current: term.current,
            last_since: term.since.clone(),
            records_in: tally.records_in,
            mapping_us_per_record: tally.mapping_us_per_record(),
            file: file(&term.version.digest),
        })
    });
    latest.collect()
}

fn view(bytes: u64, outline: &Outline) -> PluginFileView {
    let imports = outline.imports.iter().map(|import| ImportView {
        name: import.name.clone(),
        access: import.access.name().to_owned(),
        description: import.about.to_owned(),
    });
    PluginFileView {
        bytes,
        contract: outline.contract.clone(),
        world: outline.world.map(|world| world.name().to_owned()),
        imports: imports.collect(),
    }
}

/// Names only: a value can be a secret.
fn grants(grants: &Grants) -> GrantsView {
    let directories = grants.dirs.iter().map(|dir| GrantedDirectory {
        host: dir.host.display().to_string(),
        guest: dir.guest.clone(),
        writable: dir.writable,
    });
    GrantsView {
        variables: grants.env.iter().map(|(name, _)| name.clone()).collect(),
        directories: directories.collect(),
        deterministic: grants.deterministic,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn term(number: u64, digest: &str, (records_in, mapping_us): (u64, u64)) -> TermView {
        serde_json::from_value(json!({
            "number": number, "name": "reduce", "version": "1.0", "digest": digest, "since": format!("2026-11-27T1{number}:00:00.000Z"),
            "by": "http", "before": null, "current": number == 3, "offsets": {},
            "tally": {"records_in": records_in, "records_out": 0, "skipped": 0, "mapping_us": mapping_us, "dead_letters": {}},
        }))
        .unwrap()
    }

    #[test]
    fn version_with_several_terms_is_listed_once_with_their_sums() {
        let history = [term(3, "aa", (10, 20)), term(2, "bb", (0, 0)), term(1, "aa", (30, 100))];
        let found = details(&history, |digest| {
            (digest == "bb").then(|| PluginFileView { bytes: 7, contract: None, world: None, imports: vec![] })
        });
        let [first, second] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&*first.version.digest, first.current, first.records_in), ("aa", true, 40));
        assert_eq!(first.mapping_us_per_record, Some(3.0));
        assert_eq!(first.last_since, "2026-11-27T13:00:00.000Z");
        assert!(first.file.is_none());
        assert_eq!((second.mapping_us_per_record, second.file.as_ref().unwrap().bytes), (None, 7));
    }

    #[test]
    fn grants_have_no_values_of_variables() {
        let granted = Grants { env: vec![("TOKEN".into(), "secret".into())], ..Grants::default() };
        let view = grants(&granted);
        assert_eq!(view.variables, ["TOKEN"]);
        assert!(!serde_json::to_string(&view).unwrap().contains("secret"));
    }
}
