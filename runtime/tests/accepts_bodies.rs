//! `#[timeout_async]` leaves the body as it is: `?`, early returns, labels, nested items, macros.

#![cfg(not(feature = "disable-decorators"))]

use std::error::Error;
use std::fmt::Display;
use std::io;

use backstop::{TimeoutError, timeout_async};

#[derive(Debug)]
enum Failure {
    Number(#[expect(dead_code)] std::num::ParseIntError),
    Timeout(#[expect(dead_code)] TimeoutError),
}

impl From<std::num::ParseIntError> for Failure {
    fn from(error: std::num::ParseIntError) -> Self {
        Failure::Number(error)
    }
}

impl From<TimeoutError> for Failure {
    fn from(error: TimeoutError) -> Self {
        Failure::Timeout(error)
    }
}

#[timeout_async(secs = 1)]
async fn question(text: &str) -> Result<u32, Failure> {
    let number: u32 = text.parse()?;
    Ok(number)
}

#[timeout_async(secs = 1)]
async fn boxed_error(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
    if text.is_empty() {
        return Err("empty".into());
    }
    Ok(text.parse::<u32>()?)
}

#[timeout_async(secs = 1)]
async fn local_error(text: &str) -> Result<u32, Box<dyn Error>> {
    Ok(text.parse::<u32>()?)
}

#[timeout_async(secs = 1)]
async fn anyhow_error(text: &str) -> anyhow::Result<u32> {
    anyhow::ensure!(!text.is_empty(), "empty");
    Ok(text.parse::<u32>()?)
}

#[timeout_async(secs = 1)]
async fn own_error() -> Result<u32, TimeoutError> {
    Ok(1)
}

#[timeout_async(secs = 1, on_timeout = text)]
async fn text_error(fail: bool) -> Result<u32, String> {
    if fail { Err("failed".to_owned()) } else { Ok(1) }
}

fn text(error: TimeoutError) -> Result<u32, String> {
    Err(error.to_string())
}

#[timeout_async(secs = 1)]
async fn returns_early(n: u32) -> io::Result<u32> {
    for i in 0..10 {
        if i == n {
            return Ok(i);
        }
    }
    return Err(io::ErrorKind::NotFound.into());
}

#[timeout_async(secs = 1)]
async fn labels() -> io::Result<u32> {
    let mut rounds = 0;
    let found = 'outer: loop {
        for i in 0.. {
            rounds += 1;
            if rounds > 20 {
                break 'outer i;
            }
            if i > 3 {
                continue 'outer;
            }
        }
    };
    let value = 'block: {
        if found == 0 {
            break 'block 1;
        }
        2
    };
    Ok(value)
}

#[timeout_async(secs = 1)]
async fn coerces() -> io::Result<Box<dyn Display + Send>> {
    if false {
        return Ok(Box::new("text"));
    }
    Ok(Box::new(5))
}

#[timeout_async(secs = 1)]
async fn nested() -> io::Result<u32> {
    const SITE: u32 = 2;
    static RETURNS: u32 = 3;
    #[derive(Clone, Copy)]
    struct Inner(u32);
    impl Inner {
        fn get(self) -> u32 {
            self.0
        }
    }
    async fn body(body: u32) -> u32 {
        body
    }
    let returns = Inner(1).get();
    let body = body(returns).await;
    Ok(body + SITE + RETURNS)
}

#[timeout_async(secs = 1, on_timeout = drop)]
async fn no_result() {}

#[timeout_async(secs = 1, on_timeout = no_value)]
async fn option(some: bool) -> Option<u32> {
    let value = some.then_some(1)?;
    Some(value)
}

fn no_value(_: TimeoutError) -> Option<u32> {
    None
}

#[derive(Clone)]
struct Named {
    name: &'static str,
}

macro_rules! name_of {
    ($this:ident) => {
        $this.name
    };
}

impl Named {
    const NAME: &'static str = "associated";

    #[timeout_async(secs = 1)]
    async fn macros(&self) -> io::Result<String> {
        let Self { name } = self;
        Ok(format!("{name} {} {}", name_of!(self), Self::NAME))
    }

    #[timeout_async(secs = 1, retry = 1)]
    async fn macros_again(self) -> io::Result<String> {
        let name = self.name;
        Ok(format!("{name} {} {}", name_of!(self), Self::NAME))
    }
}

macro_rules! make {
    ($name:ident, $argument:ident: $type:ty, [$(#[$attribute:meta])*] $body:expr) => {
        $(#[$attribute])*
        async fn $name($argument: $type, other: &str) -> io::Result<String> {
            let body = $body;
            Ok(format!("{body} {other}"))
        }
    };
}

make!(made, value: u32, [#[timeout_async(secs = 1)]] value + 1);
make!(made_again, value: String, [#[timeout_async(secs = 1, retry = 2, fallback = made_instead)]] value.len());

async fn made_instead(value: String, _other: &str, _error: io::Error) -> io::Result<String> {
    Ok(value)
}

macro_rules! make_all {
    ($name:ident) => {
        #[timeout_async(secs = 1, fallback = make_all_instead)]
        async fn $name(mut value: String, (a, b): (u32, u32)) -> io::Result<String> {
            value.push('!');
            Ok(format!("{value} {a} {b}"))
        }

        async fn make_all_instead(value: String, _: (u32, u32), _error: io::Error) -> io::Result<String> {
            Ok(value)
        }
    };
}

make_all!(made_inside);

macro_rules! with_block {
    ($name:ident($($argument:ident: $type:ty),*) -> $returned:ty $body:block) => {
        #[timeout_async(secs = 1, retry)]
        async fn $name($($argument: $type),*) -> $returned $body
    };
}

with_block!(made_of_a_block(value: u32, other: &str) -> io::Result<String> {
    let made = format!("{value} {other}");
    Ok(made)
});

/// The attribute from outside the macro, `self` from inside.
macro_rules! methods {
    ($(#[$attribute:meta] $name:ident)*) => {
        impl Named {
            $(
                #[$attribute]
                async fn $name(mut self, extra: String) -> io::Result<String> {
                    self.name = "inside";
                    Ok(format!("{}{extra}", self.name))
                }
            )*

            #[timeout_async(secs = 1, retry, fallback = Self::method_instead)]
            async fn method(&mut self, extra: String) -> io::Result<String> {
                Ok(format!("{}{extra}", self.name))
            }

            fn method_instead(&mut self, extra: String, _error: io::Error) -> io::Result<String> {
                Ok(extra)
            }
        }
    };
}

methods! {
    #[timeout_async(secs = 1)] method_once
    #[timeout_async(secs = 1, retry)] method_again
}

#[tokio::test]
async fn bodies_behave_as_without_the_attribute() {
    assert_eq!(question("5").await.unwrap(), 5);
    assert!(matches!(question("x").await, Err(Failure::Number(_))));
    assert_eq!(boxed_error("").await.unwrap_err().to_string(), "empty");
    assert_eq!(local_error("5").await.unwrap(), 5);
    assert_eq!(anyhow_error("").await.unwrap_err().to_string(), "empty");
    assert_eq!(own_error().await.unwrap(), 1);
    assert_eq!(text_error(true).await.unwrap_err(), "failed");
    assert_eq!(made_of_a_block(1, "a").await.unwrap(), "1 a");
    assert_eq!(returns_early(3).await.unwrap(), 3);
    assert!(returns_early(30).await.is_err());
    assert_eq!(labels().await.unwrap(), 1);
    assert_eq!(coerces().await.unwrap().to_string(), "5");
    assert_eq!(nested().await.unwrap(), 6);
    no_result().await;
    assert_eq!((option(true).await, option(false).await), (Some(1), None));
    assert_eq!(Named { name: "n" }.macros().await.unwrap(), "n n associated");
    assert_eq!(Named { name: "n" }.macros_again().await.unwrap(), "n n associated");
    let named = Named { name: "n" };
    assert_eq!(named.clone().method_once("!".to_owned()).await.unwrap(), "inside!");
    assert_eq!(named.clone().method_again("!".to_owned()).await.unwrap(), "inside!");
    assert_eq!(named.clone().method("!".to_owned()).await.unwrap(), "n!");
    assert_eq!(made(1, "x").await.unwrap(), "2 x");
    assert_eq!(made_again("ab".to_owned(), "x").await.unwrap(), "2 x");
    assert_eq!(made_inside("a".to_owned(), (1, 2)).await.unwrap(), "a! 1 2");
}
