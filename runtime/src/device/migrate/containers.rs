//! What holds tensors: containers, pointers and tuples; and plain values, so that they may stand beside tensors in these.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Migrate, Moves, Rebuild, Visitor, VisitorMut};
use crate::device::torch::Kind;
use crate::device::tuples::each_tuple;

impl<T: Migrate> Migrate for Option<T> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild> Rebuild for Option<T> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.as_ref().map(|value| value.rebuild(moves))
    }
}

impl<T: Migrate, E: 'static> Migrate for Result<T, E> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild, E: Clone + 'static> Rebuild for Result<T, E> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.as_ref().map(|value| value.rebuild(moves)).map_err(Clone::clone)
    }
}

impl<T: Migrate, const N: usize> Migrate for [T; N] {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild, const N: usize> Rebuild for [T; N] {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.each_ref().map(|value| value.rebuild(moves))
    }
}

impl<T: Migrate> Migrate for Vec<T> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.iter().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.iter_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<T: Rebuild> Rebuild for Vec<T> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.iter().map(|value| value.rebuild(moves)).collect()
    }
}

impl<K: Clone + Eq + Hash + 'static, V: Migrate, S: BuildHasher + Clone + 'static> Migrate for HashMap<K, V, S> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.values().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.values_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<K: Clone + Eq + Hash + 'static, V: Rebuild, S: BuildHasher + Clone + 'static> Rebuild for HashMap<K, V, S> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let mut map = HashMap::with_capacity_and_hasher(self.len(), self.hasher().clone());
        map.extend(self.iter().map(|(key, value)| (key.clone(), value.rebuild(moves))));
        map
    }
}

impl<K: Clone + Ord + 'static, V: Migrate> Migrate for BTreeMap<K, V> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.values().for_each(|value| value.visit(visitor));
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.values_mut().for_each(|value| value.visit_mut(visitor));
    }
}

impl<K: Clone + Ord + 'static, V: Rebuild> Rebuild for BTreeMap<K, V> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        self.iter().map(|(key, value)| (key.clone(), value.rebuild(moves))).collect()
    }
}

macro_rules! pointers {
    ($($pointer:ident: |$this:ident| $inner:expr, shared $shared:expr;)*) => {$(
        impl<T: Migrate> Migrate for $pointer<T> {
            fn visit(&self, visitor: &mut Visitor<'_>) {
                (**self).visit(visitor);
            }

            fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
                let $this = self;
                let inner: Option<&mut T> = $inner;
                if let Some(value) = inner {
                    value.visit_mut(visitor);
                }
            }
        }

        impl<T: Rebuild> Rebuild for $pointer<T> {
            fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
                let $this = self;
                let shared: Option<Self> = if moves.shares() { $shared } else { None };
                shared.unwrap_or_else(|| $pointer::new((**$this).rebuild(moves)))
            }
        }
    )*};
}

pointers! {
    Box: |this| Some(&mut **this), shared None;
    Arc: |this| Arc::get_mut(this), shared (Arc::strong_count(this) + Arc::weak_count(this) > 1).then(|| Arc::clone(this));
    Rc: |this| Rc::get_mut(this), shared (Rc::strong_count(this) + Rc::weak_count(this) > 1).then(|| Rc::clone(this));
}

macro_rules! tuple {
    ($(($name:ident $index:tt))+) => {
        impl<$($name: Migrate),+> Migrate for ($($name,)+) {
            fn visit(&self, visitor: &mut Visitor<'_>) {
                $(self.$index.visit(visitor);)+
            }

            fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
                $(self.$index.visit_mut(visitor);)+
            }
        }

        impl<$($name: Rebuild),+> Rebuild for ($($name,)+) {
            fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
                ($(self.$index.rebuild(moves),)+)
            }
        }
    };
}

each_tuple!(tuple);

/// Values without tensors, so that they may stand beside tensors in tuples and containers.
macro_rules! plain {
    ($($plain:ty),* $(,)?) => {$(
        impl Migrate for $plain {
            fn visit(&self, _: &mut Visitor<'_>) {}

            fn visit_mut(&mut self, _: &mut VisitorMut<'_>) {}
        }

        impl Rebuild for $plain {
            fn rebuild(&self, _: &mut Moves<'_>) -> Self {
                self.clone()
            }
        }
    )*};
}

plain! {
    (), bool, char, f32, f64, i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, String, Duration, Kind,
}
