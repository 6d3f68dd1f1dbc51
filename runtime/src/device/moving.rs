//! One migration: what was moved where, and the way back.
//!
//! Tensors that need no gradient and share memory move as one flat copy of that memory and are cut out of it again, so that
//! aliases stay aliases and views keep their strides. Tensors that need a gradient move one by one and differentiably: what
//! is computed from the copies sends its gradients to the originals.

use super::migrate::{Moves, Seen, SeenMut};
use super::torch::{self, Device, Layout, TchError, Tensor, VarStore};

/// All that one fallback has moved.
pub struct Migration {
    target: Device,
    origin: Device,
    moved: Vec<Moved>,
    /// The storages that were on the target already: their tensors are passed as they are, and are no results to send home.
    untouched: Vec<usize>,
}

/// One moved tensor, or one stretch of memory that several tensors share.
struct Moved {
    /// On the device; a flat view of the memory where `members` are cut out of it.
    original: Tensor,
    copy: Tensor,
    members: Vec<Member>,
    /// The position of the copy's first element in the original storage.
    start: i64,
    flat: bool,
    copy_root: Option<usize>,
    version: Option<i64>,
    /// What the copy was, where a change of it is not counted.
    pristine: Option<Tensor>,
}

/// A tensor that the arguments showed.
struct Member {
    handle: Tensor,
    identity: usize,
    layout: Option<Layout>,
    tracked: bool,
    buffer: bool,
}

/// A single view that shows less than an eighth of the memory it spans is moved alone: its strides are not worth the copy.
const SPARSEST: i64 = 8;
const SMALL: i64 = 4096;

impl Migration {
    /// Moves all tensors that `visit` shows and `moves` chooses from `origin` to `target`.
    ///
    /// # Errors
    ///
    /// The first copy that failed; the originals are as they were.
    pub(crate) fn new(
        origin: Device,
        target: Device,
        chosen: impl Fn(&Tensor) -> bool,
        visit: impl FnOnce(&mut dyn FnMut(Seen<'_>)),
    ) -> Result<Self, TchError> {
        let mut migration = Self { target, origin, moved: Vec::new(), untouched: Vec::new() };
        let mut members: Vec<Member> = Vec::new();
        visit(&mut |seen| {
            let (tensor, buffer) = match seen {
                Seen::Tensor(tensor) => (tensor, false),
                Seen::Buffer(tensor) => (tensor, true),
                Seen::Store(_) | Seen::Device(_) => return,
            };
            if !tensor.defined() {
                return;
            }
            if !chosen(tensor) {
                migration.untouched.extend(Layout::of(tensor).map(|layout| layout.root));
                return;
            }
            match members.iter_mut().find(|member| member.identity == torch::identity(tensor)) {
                Some(member) => member.buffer |= buffer,
                None => members.push(Member::new(tensor, buffer)),
            }
        });
        let (single, shared): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.tracked || member.layout.is_none());
        for member in single {
            migration.move_alone(member)?;
        }
        for stretch in stretches(shared) {
            migration.move_stretch(stretch)?;
        }
        Ok(migration)
    }

    fn move_alone(&mut self, member: Member) -> Result<(), TchError> {
        let copy = torch::copy_to(&member.handle, self.target)?;
        let start = member.layout.as_ref().map_or(0, |layout| layout.offset);
        let original = member.handle.shallow_clone();
        self.push(original, copy, vec![member], start, false)
    }

    fn move_stretch(&mut self, stretch: Vec<Member>) -> Result<(), TchError> {
        let Some((start, end)) = extent(&stretch) else { return Ok(()) };
        let shown: i64 = stretch.iter().filter_map(|member| member.layout.as_ref()).map(Layout::elements).sum();
        let alone = stretch.len() == 1 && (end - start == shown || end - start > SPARSEST * shown + SMALL);
        if alone {
            return stretch.into_iter().try_for_each(|member| self.move_alone(member));
        }
        let flat = torch::without_gradients(|| stretch[0].handle.f_detach()?.f_as_strided([end - start], [1], start))?;
        let copy = torch::copy_to(&flat, self.target)?;
        self.push(flat, copy, stretch, start, true)
    }

    fn push(&mut self, original: Tensor, copy: Tensor, members: Vec<Member>, start: i64, flat: bool) -> Result<(), TchError> {
        let uncounted = members.iter().any(Member::may_change_uncounted);
        let pristine = if uncounted { Some(torch::duplicate(&copy)?) } else { None };
        let (version, copy_root) = (torch::version(&copy), Layout::of(&copy).map(|layout| layout.root));
        self.moved.push(Moved { original, copy, members, start, flat, copy_root, version, pristine });
        Ok(())
    }

    /// What `rebuild` is given: each tensor becomes its copy.
    pub(crate) fn rebuild<T>(&self, rebuild: impl FnOnce(&mut Moves<'_>) -> T) -> T {
        rebuild(&mut Moves::new(Some(self.target), &mut |tensor| self.copy_of(tensor)))
    }

    /// The copy of a moved tensor; any other tensor is itself.
    fn copy_of(&self, tensor: &Tensor) -> Tensor {
        let identity = torch::identity(tensor);
        let found = self
            .moved
            .iter()
            .find_map(|moved| moved.members.iter().find(|member| member.identity == identity).map(|member| (moved, member)));
        match found {
            Some((moved, Member { layout: Some(layout), .. })) if moved.flat => {
                torch::without_gradients(|| moved.copy.as_strided(&layout.size, &layout.stride, layout.offset - moved.start))
            }
            Some((moved, _)) => moved.copy.shallow_clone(),
            None => tensor.shallow_clone(),
        }
    }

    /// Copies every change of the copies into the originals, which keep identity, device and place in graphs.
    pub(crate) fn write_back(&self) -> Result<(), TchError> {
        self.moved.iter().filter(|moved| moved.changed()).try_for_each(|moved| {
            if moved.original.size() == moved.copy.size() {
                return torch::overwrite(&moved.original, &moved.copy);
            }
            // Resized in place: the original takes the new memory.
            let resized = torch::copy_to(&moved.copy.f_detach()?, self.origin)?;
            moved.original.shallow_clone().f_set_data(&resized)
        })
    }

    /// Replaces a tensor of the result by what the caller expects: the argument that it is or is a view of, or, where
    /// `send` is set, its copy on the device.
    ///
    /// # Errors
    ///
    /// The device does not take the tensor, which is then left as it is.
    pub(crate) fn home(&self, tensor: &mut Tensor, send: bool) -> Result<(), TchError> {
        if !tensor.defined() || tensor.device() != self.target {
            return Ok(());
        }
        if let Some(original) = self.original_of(tensor)? {
            *tensor = original;
            return Ok(());
        }
        let layout = Layout::of(tensor);
        let passed = layout.is_some_and(|layout| self.untouched.contains(&layout.root));
        if send && !passed && self.target != self.origin {
            *tensor = torch::to_device(tensor, self.origin)?;
        }
        Ok(())
    }

    fn original_of(&self, tensor: &Tensor) -> Result<Option<Tensor>, TchError> {
        let identity = torch::identity(tensor);
        if let Some(moved) = self.moved.iter().find(|moved| !moved.flat && torch::identity(&moved.copy) == identity) {
            return Ok(Some(moved.members[0].handle.shallow_clone()));
        }
        let Some(layout) = Layout::of(tensor) else { return Ok(None) };
        let Some(moved) = self.moved.iter().find(|moved| moved.copy_root == Some(layout.root)) else { return Ok(None) };
        if tensor.requires_grad() || moved.members.iter().any(|member| member.tracked) {
            return Ok(None);
        }
        let same = |member: &&Member| member.layout.as_ref().is_some_and(|of| of.is_shifted(&layout, moved.start));
        if let Some(member) = moved.members.iter().find(same) {
            return Ok(Some(member.handle.shallow_clone()));
        }
        let view = || moved.original.f_as_strided(&layout.size, &layout.stride, layout.offset + moved.start);
        torch::without_gradients(view).map(Some)
    }
}

impl Moved {
    fn changed(&self) -> bool {
        let counted = torch::version(&self.copy) != self.version;
        counted || self.pristine.as_ref().is_some_and(|pristine| !torch::same_values(pristine, &self.copy).unwrap_or(false))
    }
}

impl Member {
    fn new(tensor: &Tensor, buffer: bool) -> Self {
        Self {
            handle: tensor.shallow_clone(),
            identity: torch::identity(tensor),
            layout: Layout::of(tensor),
            tracked: tensor.requires_grad(),
            buffer,
        }
    }

    /// Running statistics change without being counted; they are lists of numbers that need no gradient.
    fn may_change_uncounted(&self) -> bool {
        self.buffer || (!self.tracked && self.handle.dim() == 1 && self.handle.is_floating_point())
    }
}

/// Groups tensors whose memory overlaps.
fn stretches(members: Vec<Member>) -> Vec<Vec<Member>> {
    let mut members = members;
    let key = |member: &Member| member.layout.as_ref().map(|of| (of.root, of.kind as i32, of.offset));
    members.sort_by_key(key);
    let mut groups: Vec<Vec<Member>> = Vec::new();
    for member in members {
        match groups.last_mut().filter(|group| overlaps(group, &member)) {
            Some(group) => group.push(member),
            None => groups.push(vec![member]),
        }
    }
    groups
}

fn overlaps(group: &[Member], next: &Member) -> bool {
    let (Some(first), Some(next)) = (group[0].layout.as_ref(), next.layout.as_ref()) else { return false };
    let end = extent(group).map_or(0, |(_, end)| end);
    first.device == next.device && first.root == next.root && first.kind == next.kind && next.offset < end
}

/// The first element and one past the last that the group reaches.
fn extent(group: &[Member]) -> Option<(i64, i64)> {
    let layouts = || group.iter().filter_map(|member| member.layout.as_ref());
    Some((layouts().map(|of| of.offset).min()?, layouts().map(Layout::end).max()?))
}

/// A value lent by `&mut` whose tensors are replaced by copies for the length of one attempt.
#[derive(Default)]
pub(crate) struct Exchange {
    tensors: Vec<Tensor>,
    devices: Vec<Device>,
    /// The originals, and which copies stand in their place.
    stores: Vec<(usize, VarStore)>,
}

impl Exchange {
    /// Puts the copies in.
    pub(crate) fn enter(&mut self, seen: SeenMut<'_>, migration: &Migration) {
        match seen {
            SeenMut::Tensor(tensor) => {
                let copy = migration.copy_of(tensor);
                self.tensors.push(std::mem::replace(tensor, copy));
            }
            SeenMut::Store(store) => {
                let copy = migration.rebuild(|moves| super::migrate::Rebuild::rebuild(store, moves));
                self.stores.push((store_identity(&copy), std::mem::replace(store, copy)));
            }
            SeenMut::Device(device) => {
                self.devices.push(*device);
                if *device == migration.origin {
                    *device = migration.target;
                }
            }
        }
    }
}

/// The way back of an [`Exchange`], place by place in the same order.
pub(crate) struct Return {
    exchange: Exchange,
    next_device: usize,
    next_tensor: usize,
}

impl Return {
    pub(crate) fn new(exchange: Exchange) -> Self {
        Self { exchange, next_device: 0, next_tensor: 0 }
    }

    /// Puts the originals back. `kept`: what the body put in place of a tensor comes home instead of being dropped.
    pub(crate) fn leave(&mut self, seen: SeenMut<'_>, migration: &Migration, kept: bool) {
        match seen {
            SeenMut::Tensor(tensor) if kept => {
                // A tensor that the device refuses stays on the CPU: it is the body's own, and must not be lost.
                let _ = migration.home(tensor, true);
            }
            SeenMut::Tensor(tensor) => {
                if let Some(original) = self.exchange.tensors.get(self.next_tensor) {
                    *tensor = original.shallow_clone();
                }
                self.next_tensor += 1;
            }
            SeenMut::Store(store) => {
                let identity = store_identity(store);
                if let Some(at) = self.exchange.stores.iter().position(|(copy, _)| *copy == identity) {
                    *store = self.exchange.stores.swap_remove(at).1;
                }
            }
            SeenMut::Device(device) => {
                if let (Some(original), true) = (self.exchange.devices.get(self.next_device), *device == migration.target) {
                    *device = *original;
                }
                self.next_device += 1;
            }
        }
    }
}

fn store_identity(store: &VarStore) -> usize {
    std::sync::Arc::as_ptr(&store.variables_) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::migrate::{Migrate, Rebuild, Visitor};
    use tch::Kind;

    const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// From the CPU to the CPU, every tensor copied.
    fn moved<T: Migrate>(value: &T) -> Migration {
        let migration = Migration::new(Device::Cpu, Device::Cpu, |_| true, |each| value.visit(&mut Visitor::new(each)));
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
        assert_eq!(migration.moved[0].copy.numel(), 3);
    }

    #[test]
    fn a_thin_view_of_a_large_memory_does_not_copy_the_memory() {
        let column = Tensor::zeros([1000, 1000], FLOAT).select(1, 7);
        let (copy, migration) = copied(&column);
        assert_eq!(copy.size(), [1000]);
        assert_eq!(migration.moved[0].copy.numel(), 1000);
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
        assert_eq!(migration.moved.len(), 1);
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
        assert_eq!(torch::version(&m), migration.moved[0].version);
        migration.write_back().unwrap();
        assert_eq!(Vec::<f32>::try_from(&mean).unwrap(), [1.5, 2.0]);
    }

    #[test]
    fn a_result_that_is_an_argument_or_a_view_of_one_comes_home_as_that() {
        let base = Tensor::arange(6, FLOAT);
        let (copy, migration) = copied(&base);
        let mut same = copy.shallow_clone();
        migration.home(&mut same, true).unwrap();
        assert_eq!(torch::identity(&same), torch::identity(&base));
        let mut view = copy.slice(0, 2, 6, 2);
        migration.home(&mut view, true).unwrap();
        assert_eq!(view.data_ptr(), base.slice(0, 2, 6, 2).data_ptr());
        assert_eq!(view.stride(), [2]);
        let mut fresh = &copy + 1.0;
        let address = fresh.data_ptr();
        migration.home(&mut fresh, true).unwrap();
        assert_eq!(fresh.data_ptr(), address);
    }

    #[test]
    fn a_store_and_the_layers_made_from_it_share_their_copies() {
        let store = VarStore::new(Device::Cpu);
        let layer = tch::nn::linear(store.root() / "l", 2, 2, tch::nn::LinearConfig::default());
        let pair = (store, layer);
        let migration = moved(&pair);
        let (store, layer) = migration.rebuild(|moves| (pair.0.rebuild(moves), pair.1.rebuild(moves)));
        assert_eq!(store.variables()["l.weight"].data_ptr(), layer.ws.data_ptr());
        assert_ne!(layer.ws.data_ptr(), pair.1.ws.data_ptr());
        assert_eq!(store.trainable_variables().len(), 2);
        assert!(store.trainable_variables().iter().all(|variable| variable.requires_grad() && !variable.is_leaf()));
    }
}
