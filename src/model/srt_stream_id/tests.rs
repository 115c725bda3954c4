//! Tables and properties of the stream id.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

type Taken<'a> = (Option<&'a str>, &'a str, Option<&'a str>, &'a [(&'a str, &'a str)]);

type Read = (Option<String>, String, Option<String>, Vec<(String, String)>);

fn publish_of(text: &str) -> Read {
    match parse(text) {
        Ok(StreamIdRequest::Publish { app, stream, token, params }) => (app, stream, token, params),
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn all_forms_are_read() {
    let table: &[(&str, Taken<'_>)] = &[
        ("live/test", (Some("live"), "test", None, &[])),
        ("/live/test", (Some("live"), "test", None, &[])),
        ("test", (None, "test", None, &[])),
        ("/test", (None, "test", None, &[])),
        ("live/test,token=abc", (Some("live"), "test", Some("abc"), &[])),
        ("live/test,", (Some("live"), "test", None, &[])),
        ("live/test,m=publish,t=stream", (Some("live"), "test", None, &[])),
        (
            "live/test,subscriberId=joe,token=a=b:c,x=",
            (Some("live"), "test", Some("a=b:c"), &[("subscriberId", "joe"), ("x", "")]),
        ),
        ("#!::r=live/test,m=publish", (Some("live"), "test", None, &[])),
        ("#!::m=PUBLISH,r=/live/test,t=stream", (Some("live"), "test", None, &[])),
        ("#!::r=test", (None, "test", None, &[])),
        ("#!::u=live/test", (Some("live"), "test", None, &[])),
        (
            "#!::r=live/test,m=publish,u=joe,s=77,t=stream,h=example.org,pass=abc",
            (Some("live"), "test", Some("abc"), &[("u", "joe"), ("s", "77"), ("h", "example.org")]),
        ),
        ("publish:live/test", (Some("live"), "test", None, &[])),
        ("publish:test", (None, "test", None, &[])),
        ("publish:live/test:", (Some("live"), "test", None, &[])),
        ("publish:live/test:joe:a,b", (Some("live"), "test", Some("a,b"), &[("user", "joe")])),
        (
            "publish:live/test:joe:abc:k=v&l=w:x",
            (Some("live"), "test", Some("abc"), &[("user", "joe"), ("k", "v"), ("l", "w:x")]),
        ),
        ("publish:live/test:::token=abc", (Some("live"), "test", Some("abc"), &[])),
        ("publish:live/test,token=a:b", (Some("live"), "test", Some("a:b"), &[])),
        // Encoded as a whole, by whoever escaped the endpoint URL once too often.
        ("live%2Ftest", (Some("live"), "test", None, &[])),
        ("%2Flive%2Ftest%2Ctoken%3Da%2Bb", (Some("live"), "test", Some("a+b"), &[])),
        ("%23!::r=live/test,m=publish", (Some("live"), "test", None, &[])),
        ("%23%21%3a%3ar%3Dlive%2Ftest%2Cm%3Dpublish", (Some("live"), "test", None, &[])),
        ("publish%3Alive%2Ftest%3Ajoe%3Aa%2Cb", (Some("live"), "test", Some("a,b"), &[("user", "joe")])),
        // One layer only.
        ("%23!::r=live/test,token=a%252Cb", (Some("live"), "test", Some("a%2Cb"), &[])),
        // Encoded by value.
        ("live/test,token=a%2Cb", (Some("live"), "test", Some("a,b"), &[])),
        ("live%2Ftest,token=a%2Cb", (Some("live"), "test", Some("a,b"), &[])),
        ("#!::r=live%2Ftest,token=a%2Cb", (Some("live"), "test", Some("a,b"), &[])),
        ("publish:live/test:joe:a%3Ab", (Some("live"), "test", Some("a:b"), &[("user", "joe")])),
        ("live/test,token=a+b", (Some("live"), "test", Some("a+b"), &[])),
        // Names are checked later, by AppName and StreamId.
        ("live/tést", (Some("live"), "tést", None, &[])),
    ];
    for (text, (app, stream, token, params)) in table {
        let taken = publish_of(text);
        let params = params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let wanted = (app.map(str::to_owned), (*stream).to_owned(), token.map(str::to_owned), params);
        assert_eq!(taken, wanted, "{text}");
    }
    assert_eq!(parse(""), Ok(StreamIdRequest::Absent));
}

#[test]
fn refusals_have_a_reason_and_a_code() {
    let long = "x".repeat(LEN_MAX + 1);
    let syntax = |why: Syntax| (StreamIdError::BadSyntax(why), 1400);
    for (text, (error, code)) in [
        (long.as_str(), syntax(Syntax::TooLong(LEN_MAX + 1))),
        ("live/te\nst", syntax(Syntax::Control(10))),
        ("live/te\0st", syntax(Syntax::Control(0))),
        ("live%2Fte%00st", syntax(Syntax::Control(0))),
        ("live/test,x=%0a", syntax(Syntax::Control(10))),
        ("live%2", syntax(Syntax::Escape)),
        ("live/%ff", syntax(Syntax::Escape)),
        ("#!::r=%zz", syntax(Syntax::Escape)),
        ("#!{r=live/test}", syntax(Syntax::Nested)),
        ("#!:r=live/test", syntax(Syntax::Nested)),
        ("#!::live/test", syntax(Syntax::NotAPair(1))),
        ("live/test,token", syntax(Syntax::NotAPair(1))),
        ("live/test,a=1,b", syntax(Syntax::NotAPair(2))),
        ("#!::r=a/b,r=a/c", syntax(Syntax::DuplicateKey("r".into()))),
        ("a/b,x=1,x=1", syntax(Syntax::DuplicateKey("x".into()))),
        ("publish:a/b:joe:abc:user=eve", syntax(Syntax::DuplicateKey("user".into()))),
        ("r=live/test,m=publish", syntax(Syntax::KeyFirst("r".into()))),
        ("token=abc", syntax(Syntax::KeyFirst("token".into()))),
        ("live/test?token=abc", syntax(Syntax::Query)),
        ("test?token=abc", syntax(Syntax::Query)),
        ("srt://h/live", syntax(Syntax::Prefix("srt".into()))),
        ("#!::", syntax(Syntax::NoStream)),
        ("#!::m=publish", syntax(Syntax::NoStream)),
        ("#!::r=,u=live/test", syntax(Syntax::NoStream)),
        ("/", syntax(Syntax::NoStream)),
        ("live/", syntax(Syntax::NoStream)),
        ("publish:", syntax(Syntax::NoStream)),
        (",token=abc", syntax(Syntax::NoStream)),
        ("//test", syntax(Syntax::NoApp)),
        ("live/a/b", syntax(Syntax::Slashes(2))),
        ("/live/test/", syntax(Syntax::Slashes(2))),
        ("///", syntax(Syntax::Slashes(2))),
        ("#!::r=live/test,m=request", (StreamIdError::Request, 1405)),
        ("live/test,m=request", (StreamIdError::Request, 1405)),
        ("read:live/test", (StreamIdError::Request, 1405)),
        ("request:live/test", (StreamIdError::Request, 1405)),
        ("play:live/test:joe:abc", (StreamIdError::Request, 1405)),
        ("#!::r=a/b,m=bidirectional", (StreamIdError::UnsupportedMode("bidirectional".into()), 1405)),
        ("#!::r=a/b,m=", (StreamIdError::UnsupportedMode(String::new()), 1405)),
        ("#!::r=a/b,m=publish,t=file", (StreamIdError::UnsupportedType("file".into()), 1415)),
        ("#!::r=a/b,t=auth", (StreamIdError::UnsupportedType("auth".into()), 1415)),
    ] {
        assert_eq!(parse(text), Err(error.clone()), "{text:.60}");
        assert_eq!(error.reject_code().code(), code, "{text:.60}");
    }
}

#[test]
fn tokens_and_passwords_are_never_printed() {
    for text in [
        "live/test,token=Swordfish",
        "#!::r=live/test,Password=Swordfish,token=Swordfish",
        "publish:live/test:joe:Swordfish",
        "live/test?token=Swordfish",
        "live/test?token=Swordfish:1",
        "token=Swordfish",
        "token=Swordfish:1",
        "test&Swordfish:1",
        "live/test,Swordfish",
        "live/test/a,token=Swordfish",
        "live/test,token=Swordfish,token=Swordfish",
        "live/test,token=Swordfish%",
    ] {
        let shown = match parse(text) {
            Ok(request) => format!("{request:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains("Swordfish"), "{shown}");
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

proptest! {
    #[test]
    fn parts_survive_every_form(
        app in proptest::option::of("[A-Za-z0-9_.-]{1,40}"),
        stream in "[A-Za-z0-9_.-]{1,40}",
        token in proptest::option::of("[^\\p{Cc}]{1,20}"),
        session in proptest::option::of("[^\\p{Cc}]{1,20}"),
    ) {
        let path = app.as_ref().map(|app| format!("{app}/{stream}")).unwrap_or(stream.clone());
        let mut pairs = String::new();
        if let Some(session) = &session {
            pairs.push_str(&format!(",s={}", escape(session)));
        }
        if let Some(token) = &token {
            pairs.push_str(&format!(",token={}", escape(token)));
        }
        for text in [
            format!("{path}{pairs}"),
            format!("/{path}{pairs}"),
            format!("#!::r={path},m=publish{pairs}"),
            format!("#!::u={path}{pairs}"),
            format!("publish:{path}{pairs}"),
        ] {
            let mut wanted = (app.clone(), stream.clone(), token.clone(), Vec::new());
            wanted.3.extend(session.clone().map(|session| ("s".to_owned(), session)));
            if text.len() <= LEN_MAX {
                prop_assert_eq!(publish_of(&text), wanted, "{}", text);
            }
        }
    }

    #[test]
    fn a_wholly_encoded_id_is_the_same(
        app in "[A-Za-z0-9_.-]{1,40}",
        stream in "[A-Za-z0-9_.-]{1,40}",
        token in "[A-Za-z0-9_.+ %-]{1,20}",
    ) {
        for text in [
            format!("{app}/{stream},token={token}"),
            format!("#!::r={app}/{stream},token={token}"),
            format!("publish:{app}/{stream},token={token}"),
        ] {
            let wanted = (Some(app.clone()), stream.clone(), Some(token.clone()), vec![]);
            prop_assert_eq!(publish_of(&escape(&text)), wanted, "{}", text);
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,600}", tail in "[a-z%0-9,=#!:/?]{0,80}") {
        for text in [&text, &tail, &format!("#!::{tail}"), &format!("publish:{tail}")] {
            if let Ok(StreamIdRequest::Publish { app, stream, .. }) = parse(text) {
                prop_assert!(!stream.is_empty() && !stream.contains('/'));
                prop_assert!(app.is_none_or(|app| !app.is_empty() && !app.contains('/')));
            }
        }
    }
}
