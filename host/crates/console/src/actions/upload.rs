//! The form with a plugin.

use std::collections::BTreeMap;

use axum::extract::Multipart;
use axum::extract::multipart::MultipartError;
use axum::response::Response;
use bytes::Bytes;

use super::refuse_foreign_form;
use crate::api::ApiError;
use crate::frame::{Frame, KEY_FIELD};

/// The plugin and the other fields of the form. The API has the limit of a plugin.
pub(super) const MAX_FORM_BYTES: usize = 65 << 20;

/// The fields of the form.
#[derive(Default)]
pub(super) struct Upload {
    key: String,
    pub(super) file_name: String,
    pub(super) plugin: Bytes,
    /// The other fields.
    pub(super) texts: BTreeMap<String, String>,
}

impl Upload {
    /// Reads the form, if it is one of this session. The error is the page that says why not.
    pub(super) async fn read(frame: &Frame<'_>, form: Multipart) -> Result<Self, Box<Response>> {
        let upload = Self::parse(form)
            .await
            .map_err(|error| Box::new(frame.error(&ApiError { status: error.status(), reason: error.body_text() })))?;
        match refuse_foreign_form(frame.console, frame.session, &upload.key) {
            Some(refused) => Err(Box::new(refused)),
            None => Ok(upload),
        }
    }

    async fn parse(mut form: Multipart) -> Result<Self, MultipartError> {
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
