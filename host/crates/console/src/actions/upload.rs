//! The form with a plugin.

use std::collections::BTreeMap;

use axum::extract::Multipart;
use axum::extract::multipart::MultipartError;
use bytes::Bytes;

use crate::frame::KEY_FIELD;

/// The plugin and the other fields of the form. The API has the limit of a plugin.
pub(super) const MAX_FORM_BYTES: usize = 65 << 20;

/// The fields of the form.
#[derive(Default)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) file_name: String,
    pub(super) plugin: Bytes,
    /// The other fields.
    pub(super) texts: BTreeMap<String, String>,
}

impl Upload {
    pub(super) async fn read(mut form: Multipart) -> Result<Self, MultipartError> {
        let mut upload = Self::default();
        while let Some(field) = form.next_field().await? {
            match field.name().map(ToOwned::to_owned).as_deref() {
                Some(KEY_FIELD) => upload.key = field.text().await?,
                Some("plugin") => {
                    upload.file_name = field.file_name().unwrap_or("plugin.wasm").to_owned();
                    upload.plugin = field.bytes().await?;
                }
                Some(name) => {
                    upload.texts.insert(name.to_owned(), field.text().await?);
                }
                None => {}
            }
        }
        Ok(upload)
    }
}
