//! The keys of `[webhook]`. Must not know how it is told.

use crate::config::reader::Reader;
use crate::config::{HookContentType, Webhook};
use crate::model::source::{Scheme, SourceUrl};
use crate::model::srt_url::Secret;

/// Shortest secret, in characters: one that is guessed signs nothing.
const SECRET_LEN_MIN: usize = 16;

pub(super) fn read(reader: &mut Reader, default: Webhook) -> Webhook {
    let secret = format!("at least {SECRET_LEN_MIN} characters, or \"\" for no signature");
    let types = "\"application/json\" or \"application/x-www-form-urlencoded\"";
    Webhook {
        url: reader.take_text(
            "webhook.url",
            "an address such as \"https://example.org/hook\", or \"\" for none",
            default.url,
            |text| match text.trim() {
                "" => Ok(None),
                text => hook_url(text).map(|()| Some(text.to_owned())),
            },
        ),
        secret: reader.take_text("webhook.secret", &secret, default.secret, |text| match text.chars().count() {
            0 => Ok(None),
            SECRET_LEN_MIN.. => Ok(Some(Secret::new(text))),
            len => Err(format!("it has {len}")),
        }),
        content_type: reader.take_text("webhook.content_type", types, default.content_type, |text| {
            let all = [HookContentType::Json, HookContentType::Form];
            all.into_iter().find(|kind| kind.as_str() == text).ok_or_else(String::new)
        }),
    }
}

fn hook_url(text: &str) -> Result<(), String> {
    let url = SourceUrl::parse(text).map_err(|error| error.to_string())?;
    match url.net().map(|net| net.scheme) {
        Some(Scheme::Http | Scheme::Https) => Ok(()),
        _ => Err("it is neither http nor https".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{ConfigError, Settings, parse};

    fn from_file(text: &str) -> Result<Settings, ConfigError> {
        parse(Some(("f", text)), [])
    }

    #[test]
    fn secrets_are_neither_printed_nor_shown_in_errors() {
        let text = "[webhook]\nurl = \"https://me:hunter2@h/x?token=hunter2\"\nsecret = \"hunter2hunter2hunter2\"\n";
        let settings = from_file(text).expect("good");
        for shown in [settings.to_redacted_toml(), format!("{:?}", settings.webhook.secret)] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert!(settings.to_redacted_toml().contains("secret = \"***\""));
        for (key, value, wanted) in [
            ("secret", "\"hunter2\"", "at least 16 characters"),
            ("url", "\"ftp://me:hunter2@h/\"", "an address such as"),
            ("url", "\"srt://h:1\"", "neither http nor https"),
            ("content_type", "\"text/xml\"", "application/x-www-form-urlencoded"),
        ] {
            let error = from_file(&format!("[webhook]\n{key} = {value}")).expect_err("bad").to_string();
            assert!(error.contains(&format!("webhook.{key}: ")) && error.contains(wanted), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
