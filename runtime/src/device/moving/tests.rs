//! The whole way of a migration, from the CPU to the CPU.

use super::*;
use crate::device::migrate::{Migrate, Rebuild, SeenMut};
use tch::Kind;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// From the CPU to the CPU, every tensor copied.
fn moved<T: Migrate>(value: &T) -> Migration {
    let migration = Migration::new(Device::Cpu, Device::Cpu, Steps::Elsewhere, |_| true, |visitor| value.visit(visitor));
    migration.unwrap()
}

fn copied<T: Rebuild>(value: &T) -> (T, Migration) {
    let migration = moved(value);
    (migration.rebuild(|moves| value.rebuild(moves)), migration)
}

#[test]
fn tensors_that_share_memory_share_it_after_the_move_and_nothing_else_does() {
    let base = Tensor::arange(12, FLOAT).reshape([3, 4]);
    let apart = Tensor::arange(12, FLOAT);
    let ((mut one, other, apart_copy), _) = copied(&(base.select(0, 1), base.narrow(1, 1, 2), apart.shallow_clone()));
    let _ = one.fill_(-1.0);
    assert_eq!(Vec::<f32>::try_from(other.reshape([-1])).unwrap(), [1.0, 2.0, -1.0, -1.0, 9.0, 10.0]);
    assert_eq!(apart_copy, apart);
    assert_eq!(f64::try_from(base.sum(Kind::Float)).unwrap(), 66.0, "the original is untouched");
}

#[test]
fn views_keep_their_strides() {
    let base = Tensor::arange(24, FLOAT).reshape([4, 6]);
    let views = vec![base.transpose(0, 1), base.slice(1, 0, 6, 2), base.unfold(1, 3, 1), base.select(1, 2)];
    let (copies, _) = copied(&views);
    for (view, copy) in views.iter().zip(&copies) {
        assert_eq!((copy.stride(), copy.size()), (view.stride(), view.size()));
        assert_eq!(copy, view);
        assert_ne!(copy.data_ptr(), view.data_ptr());
    }
}

#[test]
fn an_expanded_tensor_is_not_blown_up() {
    let wide = Tensor::arange(3, FLOAT).expand([1000, 3], false);
    let (copy, migration) = copied(&wide);
    assert_eq!((copy.stride(), copy.size()), (vec![0, 1], vec![1000, 3]));
    assert_eq!(migration.copies.moved[0].copy.numel(), 3);
}

#[test]
fn a_thin_view_of_a_large_memory_does_not_copy_the_memory() {
    let column = Tensor::zeros([1000, 1000], FLOAT).select(1, 7);
    let (copy, migration) = copied(&column);
    assert_eq!(copy.size(), [1000]);
    assert_eq!(migration.copies.moved[0].copy.numel(), 1000);
}

#[test]
fn gradients_flow_to_the_original_leaf() {
    let leaf = Tensor::ones([2], FLOAT).set_requires_grad(true);
    let (copy, _) = copied(&leaf);
    assert!(copy.requires_grad() && !copy.is_leaf());
    (copy * 3.0).sum(Kind::Float).backward();
    assert_eq!(Vec::<f32>::try_from(leaf.grad()).unwrap(), [3.0, 3.0]);
}

#[test]
fn one_parameter_reached_twice_becomes_one_copy() {
    let leaf = Tensor::ones([2], FLOAT).set_requires_grad(true);
    let ((one, other), migration) = copied(&(leaf.shallow_clone(), leaf.shallow_clone()));
    assert_eq!(migration.copies.moved.len(), 1);
    assert_eq!(one.data_ptr(), other.data_ptr());
}

#[test]
fn unusual_tensors_survive() {
    let sparse = Tensor::ones([2, 2], FLOAT).to_sparse(None::<tch::Layout>, None::<i64>, None::<i64>);
    let complex = Tensor::ones([2], (Kind::ComplexFloat, Device::Cpu)).conj();
    let unusual = vec![Tensor::new(), Tensor::zeros([0, 3], FLOAT), sparse, complex, Tensor::from(7_i64)];
    let (copies, _) = copied(&unusual);
    assert!(!copies[0].defined());
    assert_eq!(copies[1].size(), [0, 3]);
    assert!(copies[2].is_sparse());
    assert_eq!(copies[3].size(), [2]);
    assert!(copies[3].f_equal(&unusual[3]).unwrap());
    assert_eq!(i64::try_from(&copies[4]).unwrap(), 7);
}

#[test]
fn what_is_written_through_a_copy_reaches_the_original_and_only_that() {
    let (base, quiet) = (Tensor::arange(4, FLOAT), Tensor::arange(4, FLOAT));
    let versions = || (torch::version(&base), torch::version(&quiet));
    let before = versions();
    let ((mut view, _, same), migration) = copied(&(base.slice(0, 0, 4, 2), quiet.shallow_clone(), base.shallow_clone()));
    let _ = view.fill_(9.0);
    migration.write_back().unwrap();
    assert_eq!(Vec::<f32>::try_from(&base).unwrap(), [9.0, 1.0, 9.0, 3.0]);
    assert_ne!(versions().0, before.0);
    assert_eq!(versions().1, before.1, "what did not change is not written");
    drop(same);
}

#[test]
fn running_statistics_are_written_back_although_they_leave_no_trace() {
    let (mean, var) = (Tensor::zeros([2], FLOAT), Tensor::ones([2], FLOAT));
    let ((m, v), migration) = copied(&(mean.shallow_clone(), var.shallow_clone()));
    let x = Tensor::arange(8, FLOAT).reshape([4, 2]);
    let _ = x.batch_norm(None::<&Tensor>, None::<&Tensor>, Some(&m), Some(&v), true, 0.5, 1e-5, false);
    assert_eq!(torch::version(&m), migration.copies.moved[0].version);
    migration.write_back().unwrap();
    assert_eq!(Vec::<f32>::try_from(&mean).unwrap(), [1.5, 2.0]);
}

#[test]
fn a_result_that_is_an_argument_or_a_view_of_one_comes_home_as_that() {
    let base = Tensor::arange(6, FLOAT);
    let (copy, migration) = copied(&base);
    let mut same = copy.shallow_clone();
    migration.home(SeenMut::Tensor(&mut same), true).unwrap();
    assert_eq!(torch::identity(&same), torch::identity(&base));
    let mut view = copy.slice(0, 2, 6, 2);
    migration.home(SeenMut::Tensor(&mut view), true).unwrap();
    assert_eq!(view.data_ptr(), base.slice(0, 2, 6, 2).data_ptr());
    assert_eq!(view.stride(), [2]);
    let mut fresh = &copy + 1.0;
    let address = fresh.data_ptr();
    migration.home(SeenMut::Tensor(&mut fresh), true).unwrap();
    assert_eq!(fresh.data_ptr(), address);
}

#[test]
fn a_store_and_the_layers_made_from_it_share_their_copies() {
    let store = tch::nn::VarStore::new(Device::Cpu);
    let layer = tch::nn::linear(store.root() / "l", 2, 2, tch::nn::LinearConfig::default());
    let pair = (store, layer);
    let migration = moved(&pair);
    let (store, layer) = migration.rebuild(|moves| (pair.0.rebuild(moves), pair.1.rebuild(moves)));
    assert_eq!(store.variables()["l.weight"].data_ptr(), layer.ws.data_ptr());
    assert_ne!(layer.ws.data_ptr(), pair.1.ws.data_ptr());
    assert_eq!(store.trainable_variables().len(), 2);
    assert!(store.trainable_variables().iter().all(|variable| variable.requires_grad() && !variable.is_leaf()));
}

#[test]
fn a_view_of_what_moved_without_its_strides_comes_home_with_its_values() {
    let column = Tensor::arange(1_000_000, FLOAT).reshape([1000, 1000]).select(1, 7);
    let (copy, migration) = copied(&column);
    let mut view = copy.slice(0, 2, 6, 2);
    migration.home(SeenMut::Tensor(&mut view), true).unwrap();
    assert_eq!(Vec::<f32>::try_from(&view).unwrap(), [2007.0, 4007.0]);
}
