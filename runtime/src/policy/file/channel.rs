//! `[channels.NAME]`: the keys of each kind.

use std::path::PathBuf;

use super::reader::{Reader, Table, Value};
use crate::policy::channel::{Channel, ChannelKind, WebhookFormat};
use crate::policy::problem::Problem;

/// Reads all channels.
pub(super) fn channels(reader: &mut Reader<'_>, value: &Value<'_>) -> Vec<Channel> {
    let Some(table) = reader.table("channels", value) else { return Vec::new() };
    let mut channels = Vec::new();
    for (key, value) in table.iter() {
        let name = &**key.get_ref();
        let origin = reader.origin(&key.span());
        // A channel that is wrong still has its name: only what is wrong with it is reported, not each `notify` too.
        let kind = kind_of(reader, name, value).unwrap_or(ChannelKind::Log);
        channels.push(Channel { name: name.into(), kind, origin });
    }
    channels
}

#[derive(Clone, Copy)]
enum Kind {
    Webhook,
    Command,
    File,
    Log,
}

fn kind_of(reader: &mut Reader<'_>, name: &str, value: &Value<'_>) -> Option<ChannelKind> {
    let table = reader.table(name, value)?;
    let words = [("webhook", Kind::Webhook), ("command", Kind::Command), ("file", Kind::File), ("log", Kind::Log)];
    required(reader, &table, value, name, "kind")?;
    match reader.value(&table, "kind", |reader, key, value| reader.word(key, value, &words))? {
        Kind::Webhook => webhook(reader, &table, value, name),
        Kind::Command => command(reader, &table, value, name),
        Kind::File => file(reader, &table, value, name),
        Kind::Log => {
            reader.only(&table, &["kind"]);
            Some(ChannelKind::Log)
        }
    }
}

fn webhook(reader: &mut Reader<'_>, table: &Table<'_>, value: &Value<'_>, name: &str) -> Option<ChannelKind> {
    reader.only(table, &["kind", "url", "format"]);
    if cfg!(not(feature = "webhook")) {
        reader.report(
            Problem::at(value.span(), format!("channel `{name}` needs a program that was built with webhooks"))
                .help("enable the feature `webhook` of backstop"),
        );
    }
    required(reader, table, value, name, "url")?;
    let formats = [("alertmanager", WebhookFormat::Alertmanager), ("json", WebhookFormat::Json)];
    let format = reader.value(table, "format", |reader, key, value| reader.word(key, value, &formats));
    let url = reader.value(table, "url", url)?;
    Some(ChannelKind::Webhook { url, format: format.unwrap_or(WebhookFormat::Json) })
}

fn url(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<String> {
    let url = reader.text(key, value)?;
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Some(url),
        _ => reader.refuse(value, format!("`{key}` must begin with http:// or https:// and a host, unlike `{url}`")),
    }
}

fn command(reader: &mut Reader<'_>, table: &Table<'_>, value: &Value<'_>, name: &str) -> Option<ChannelKind> {
    reader.only(table, &["kind", "command"]);
    required(reader, table, value, name, "command")?;
    let argv = reader.value(table, "command", |reader, key, value| {
        if value.get_ref().is_str() {
            let help = "write command = [\"program\", \"argument\"]: no shell takes the line apart";
            reader.report(Problem::at(value.span(), format!("`{key}` must be an array of strings")).help(help));
            return None;
        }
        let argv = reader.strings(key, value)?;
        if argv.first().is_none_or(String::is_empty) { reader.refuse(value, format!("`{key}` names no program")) } else { Some(argv) }
    })?;
    Some(ChannelKind::Command { argv })
}

fn file(reader: &mut Reader<'_>, table: &Table<'_>, value: &Value<'_>, name: &str) -> Option<ChannelKind> {
    reader.only(table, &["kind", "path"]);
    required(reader, table, value, name, "path")?;
    let path = reader.value(table, "path", |reader, key, value| match reader.text(key, value)? {
        path if path.is_empty() => reader.refuse(value, format!("`{key}` is empty")),
        path => Some(PathBuf::from(path)),
    })?;
    Some(ChannelKind::File { path })
}

fn required(reader: &mut Reader<'_>, table: &Table<'_>, value: &Value<'_>, name: &str, key: &str) -> Option<()> {
    if table.get(key).is_some() {
        return Some(());
    }
    reader.refuse(value, format!("channel `{name}` lacks `{key}`"))
}
