//! Reads the form: short fields into memory, the file to disk, each as it comes, in any order.

use super::{Asked, Uploaded, not_staged};
use crate::app::App;
use crate::http::ApiError;
use crate::http::parts::{Form, broken, once, text, unknown};
use axum::extract::Request;
use axum::extract::multipart::Field;
use axum::http::header;
use sanasend_model::{MediaKind, Timestamp};

/// What a form takes beside its file.
const MAX_BESIDE: u64 = 1 << 20;

/// Reads the whole form.
///
/// # Errors
/// When it is no form, a field is unknown, too long or comes twice, or the file is too large.
pub(crate) async fn read(app: &App, request: Request) -> Result<Asked, ApiError> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if announced > app.media.largest() + MAX_BESIDE {
        return Err(super::too_large(app.media.largest()));
    }
    let mut form = Form::of(request).await?;
    let mut asked = Asked::default();
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => {
                let file = upload(app, &asked, field).await?;
                once(&name, &mut asked.file, file)?;
            }
            "recipient" => once(&name, &mut asked.recipient, text(&name, field).await?)?,
            "media_type" => once(&name, &mut asked.media_type, text(&name, field).await?)?,
            "media_url" => once(&name, &mut asked.media_url, text(&name, field).await?)?,
            "caption" => once(&name, &mut asked.caption, text(&name, field).await?)?,
            "filename" => once(&name, &mut asked.filename, text(&name, field).await?)?,
            "session" => once(&name, &mut asked.session, text(&name, field).await?)?,
            "reply_to" => {
                let id = text(&name, field).await?.trim().parse().map_err(|_| ApiError::field(&name, "must be an id (UUID)"))?;
                once(&name, &mut asked.reply_to, id)?;
            }
            "scheduled_at" => once(&name, &mut asked.when.scheduled_at, date(&name, field).await?)?,
            "expires_at" => once(&name, &mut asked.when.expires_at, date(&name, field).await?)?,
            "quiet_hours" => {
                let quiet = text(&name, field).await?.trim().parse().map_err(|_| ApiError::field(&name, "must be true or false"))?;
                once(&name, &mut asked.when.quiet_hours, quiet)?;
            }
            "metadata" => {
                let text = text(&name, field).await?;
                let value = serde_json::from_str(&text).map_err(|_| ApiError::field(&name, "must be JSON"))?;
                once(&name, &mut asked.metadata, value)?;
            }
            _ => return Err(unknown(&name)),
        }
    }
    Ok(asked)
}

/// Streams the file to disk. Where the form said before what it is, it is cut off at what is possible for that.
async fn upload(app: &App, asked: &Asked, mut field: Field<'_>) -> Result<Uploaded, ApiError> {
    let name = field.file_name().map(str::to_owned);
    let declared = field.content_type().map(str::to_owned);
    let kind = asked.media_type.as_deref().and_then(|text| text.parse::<MediaKind>().ok());
    let limit = kind.map_or_else(|| app.media.largest(), |kind| app.media.limit(kind));
    let mut staging = app.media.stage(limit).await.map_err(not_staged)?;
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        staging.write(&chunk).await.map_err(not_staged)?;
    }
    Ok(Uploaded { staged: staging.finish().await.map_err(not_staged)?, name, declared })
}

async fn date(name: &str, field: Field<'_>) -> Result<Timestamp, ApiError> {
    let date = Timestamp::parse(text(name, field).await?.trim());
    date.ok_or_else(|| ApiError::field(name, "must be a date and time like 2026-11-21T08:30:00Z"))
}
