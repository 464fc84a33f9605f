//! Where messages of the host quote a failure. A plugin may quote the record in the text of its failure, so this part of a message can be
//! hidden.

/// Before the last failure of several.
pub const LAST_FAILURE: &str = ". The last: ";
/// Before the number and the text of the most common failure.
pub const COMMON_FAILURE: &str = ". The most common failure, ";
/// Before the record and the failure for which a version is refused.
pub const CRASH: &str = "does not return from a record: ";

/// The part of a message before the first failure that it quotes; `None` if it quotes none.
pub fn without_failure(message: &str) -> Option<&str> {
    let starts = [LAST_FAILURE, COMMON_FAILURE, CRASH].map(|start| message.find(start).map(|at| at + start.len()));
    starts.into_iter().flatten().min().map(|end| &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ends_before_the_first_failure_that_it_quotes() {
        let message = format!("3 records in a row trapped{LAST_FAILURE}trap: secret{COMMON_FAILURE}2 times: secret");
        assert_eq!(without_failure(&message), Some("3 records in a row trapped. The last: "));
        assert_eq!(without_failure("no broker answers. The last one was a"), None);
    }
}
