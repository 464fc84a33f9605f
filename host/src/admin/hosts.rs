//! The API of a console whose pipelines run in other hosts. What is in Kafka is answered here; all else is forwarded to the host.

mod catalog;
mod client;
mod forward;
#[cfg(test)]
mod tests;

pub(crate) use catalog::Hosts;
pub(super) use forward::routes;

/// Whether a route is this path or one below it.
fn is_below(route: &str, path: &str) -> bool {
    route.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
