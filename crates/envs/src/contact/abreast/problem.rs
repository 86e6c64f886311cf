//! What eight environments' solutions are made of, number by number side by side.

use super::*;

/// One number of each environment.
pub(super) type Eight = [f32; GROUP];
/// A contact of each environment: the same numbers as in the scratch, but the sides' signs in the place of their slots and the
/// agent's arm before the object's.
pub(super) type Contact = [f32; GROUP * CONTACT_LEN];

/// The number of a contact with the agent's side: -1 where it is the first body, 1 where the second, else 0.
pub(super) const AGENT_SIDE: usize = FIRST;
/// The same of the object.
pub(super) const OBJECT_SIDE: usize = SECOND;
/// The agent's lever arm.
pub(super) const AGENT_ARM: usize = ARM_FIRST;
/// The object's lever arm.
pub(super) const OBJECT_ARM: usize = ARM_SECOND;

/// A planar agent moves along x and y and about z.
const PLANAR: [usize; 3] = [0, 1, 5];

/// Numbers of the agents.
#[derive(Default)]
pub(super) struct Agents {
    pub position: [Eight; 3],
    pub velocity: [Eight; 3],
    pub acceleration: [Eight; 3],
    pub free: [Eight; 3],
    pub mass: Eight,
    /// Mass times com offset x, y, moment about the origin.
    pub inertia: [Eight; 3],
    /// Contacts.
    pub touches: Eight,
    /// 1 where it is being solved.
    pub solved: Eight,
}

/// Numbers of the objects.
#[derive(Default)]
pub(super) struct Objects {
    pub position: [Eight; 3],
    pub velocity: [Eight; 6],
    pub acceleration: [Eight; 6],
    pub free: [Eight; 6],
    pub mass: Eight,
    pub inertia: [Eight; 6],
    /// Contacts.
    pub touches: Eight,
    /// 1 where it is being solved.
    pub solved: Eight,
}

/// Copies a place of some numbers.
fn copy_place<const N: usize>(to: &mut [Eight; N], place: usize, from: &[Eight; N], other: usize) {
    for (to, from) in to.iter_mut().zip(from) {
        to[place] = from[other];
    }
}

macro_rules! take_over {
    ($numbers:ident) => {
        impl $numbers {
            fn take_over(&mut self, place: usize, other: &Self, from: usize) {
                copy_place(&mut self.position, place, &other.position, from);
                copy_place(&mut self.velocity, place, &other.velocity, from);
                copy_place(&mut self.acceleration, place, &other.acceleration, from);
                copy_place(&mut self.free, place, &other.free, from);
                copy_place(&mut self.inertia, place, &other.inertia, from);
                self.mass[place] = other.mass[from];
                self.touches[place] = other.touches[from];
                self.solved[place] = other.solved[from];
            }
        }
    };
}
take_over!(Agents);
take_over!(Objects);

/// Numbers of a contact that the steps read.
const ALL: [usize; 29] = numbers_of(&[AGENT_SIDE..DY, STIFF..MU + 5]);
/// The same of one with the floor.
const UPRIGHT: [usize; 16] = numbers_of(&[OBJECT_SIDE..OBJECT_SIDE + 1, OBJECT_ARM..DY, STIFF..MU + 5]);
/// What a contact that is none must have of zeros.
const NONE: [usize; 8] = numbers_of(&[AGENT_SIDE..OBJECT_SIDE + 1, Y..DY]);

const fn numbers_of<const N: usize>(ranges: &[core::ops::Range<usize>]) -> [usize; N] {
    let mut numbers = [0; N];
    let (mut range, mut count) = (0, 0);
    while range < ranges.len() {
        let mut number = ranges[range].start;
        while number < ranges[range].end {
            numbers[count] = number;
            number += 1;
            count += 1;
        }
        range += 1;
    }
    assert!(count == N);
    numbers
}

/// Puts the `count` contacts at `from` of `others` in the place of those that are solved, of which the first `used` are in use.
fn take_contacts<const N: usize>(
    contacts: &mut [Contact],
    used: &mut usize,
    place: usize,
    others: &[Contact],
    count: f32,
    from: usize,
    numbers: &[usize; N],
) {
    let count = count as usize;
    for contact in &mut contacts[(*used).min(count)..count] {
        for number in NONE {
            contact[number * GROUP..][..GROUP].fill(0.0);
        }
    }
    *used = (*used).max(count);
    for (contact, other) in contacts[..count].iter_mut().zip(others) {
        for number in numbers {
            contact[number * GROUP + place] = other[number * GROUP + from];
        }
    }
    for contact in &mut contacts[count..*used] {
        for number in NONE {
            contact[number * GROUP + place] = 0.0;
        }
    }
}

/// The problems of up to eight environments.
pub(super) struct Problem {
    pub agents: Agents,
    pub objects: Objects,
    /// Squared change of the accelerations over the present bodies \[(m/s^2)^2\].
    pub moved: Eight,
    /// The slots of the objects; slot 1 where no object has contacts.
    slots: [usize; GROUP],
    /// Contacts with anything but the floor; so many of each environment.
    pub contacts: Vec<Contact>,
    pub contact_counts: Eight,
    /// Contacts of the objects with the floor.
    pub floor: Vec<Contact>,
    pub floor_counts: Eight,
    /// Places of `contacts` and `floor` that hold contacts, or none made of zeros.
    contacts_used: usize,
    floor_used: usize,
}

impl Problem {
    pub fn new() -> Self {
        Self {
            agents: Agents::default(),
            objects: Objects::default(),
            moved: [0.0; GROUP],
            slots: [1; GROUP],
            contacts: vec![[0.0; GROUP * CONTACT_LEN]; MAX_CONTACTS],
            contact_counts: [0.0; GROUP],
            floor: vec![[0.0; GROUP * CONTACT_LEN]; MAX_CONTACTS],
            floor_counts: [0.0; GROUP],
            contacts_used: 0,
            floor_used: 0,
        }
    }

    /// Takes over what the solver needs of the environment at `base`, or nothing.
    pub fn gather(&mut self, scratch: &[f32], base: Option<usize>, place: usize) {
        let (contacts, floor) = base.map_or((0, 0), |base| {
            self.gather_bodies(scratch, base, place);
            self.gather_contacts(scratch, base, place)
        });
        self.contact_counts[place] = contacts as f32;
        self.floor_counts[place] = floor as f32;
        if base.is_none() {
            self.clear(place);
        }
    }

    /// Leaves `place` empty.
    pub fn clear(&mut self, place: usize) {
        let Self { agents, objects, moved, .. } = self;
        (agents.touches[place], objects.touches[place]) = (0.0, 0.0);
        (agents.solved[place], objects.solved[place]) = (0.0, 0.0);
        moved[place] = 0.0;
        (self.contact_counts[place], self.floor_counts[place]) = (0.0, 0.0);
    }

    /// A body without contacts is none, its record may be of long ago: one at rest stands in its place, whose Hessian has an inverse.
    fn gather_bodies(&mut self, scratch: &[f32], base: usize, place: usize) {
        let Self { agents, objects, moved, slots, .. } = self;
        let touched = (1..=scratch[base + ACTIVE] as usize).find(|slot| scratch[body(base, *slot) + TOUCHES] > 0.0);
        slots[place] = touched.unwrap_or(1);
        let (a, b) = (body(base, AGENT_SLOT), body(base, slots[place]));
        agents.touches[place] = scratch[a + TOUCHES];
        objects.touches[place] = touched.map_or(0.0, |_| scratch[b + TOUCHES]);
        let (touched, met) = (agents.touches[place] > 0.0, objects.touches[place] > 0.0);
        // The object first, or both together.
        let pair = touched && met && scratch[base + LINKED] > 0.0;
        objects.solved[place] = f32::from(u8::from(met));
        agents.solved[place] = f32::from(u8::from(pair || !met));
        moved[place] = 0.0;
        let agent = |number: usize| if touched { scratch[a + number] } else { 0.0 };
        let object = |number: usize| if met { scratch[b + number] } else { 0.0 };
        for k in 0..3 {
            agents.position[k][place] = agent(GEOM + k);
            agents.inertia[k][place] = if touched || k < 2 { agent(INERTIA + k) } else { 1.0 };
            objects.position[k][place] = object(GEOM + k);
        }
        for (k, motion) in PLANAR.into_iter().enumerate() {
            agents.velocity[k][place] = agent(VEL + motion);
            agents.acceleration[k][place] = agent(ACC + motion);
            agents.free[k][place] = agent(FREE + motion);
        }
        for k in 0..6 {
            objects.velocity[k][place] = object(VEL + k);
            objects.acceleration[k][place] = object(ACC + k);
            objects.free[k][place] = object(FREE + k);
            objects.inertia[k][place] = if met || k > 2 { object(INERTIA + k) } else { 1.0 };
        }
        agents.mass[place] = if touched { scratch[a + MASS] } else { 1.0 };
        objects.mass[place] = if met { scratch[b + MASS] } else { 1.0 };
    }

    /// Returns how many contacts there are, and how many with the floor, which were pushed last.
    fn gather_contacts(&mut self, scratch: &[f32], base: usize, place: usize) -> (usize, usize) {
        let count = scratch[base + COUNT] as usize;
        let is_floor = |index: usize| {
            let c = contact(base, index);
            scratch[of(c, FRAME + 2)] == 1.0 && scratch[of(c, FIRST)] == STATIC_SLOT as f32
        };
        let mut others = count;
        while others > 0 && is_floor(others - 1) {
            others -= 1;
        }
        for index in 0..others {
            let (c, to) = (contact(base, index), &mut self.contacts[index]);
            let (first, second) = (scratch[of(c, FIRST)], scratch[of(c, SECOND)]);
            let side = |slot: f32| f32::from(u8::from(second == slot)) - f32::from(u8::from(first == slot));
            to[AGENT_SIDE * GROUP + place] = side(AGENT_SLOT as f32);
            to[OBJECT_SIDE * GROUP + place] = side(self.slots[place] as f32);
            for number in (FRAME..FRAME + 3).chain(ARM_FIRST..ARM_FIRST + 3).chain([Y]).chain(MU..MU + 4) {
                to[number * GROUP + place] = scratch[of(c, number)];
            }
        }
        for index in others..count {
            let (c, to) = (contact(base, index), &mut self.floor[index - others]);
            for number in (ARM_FIRST..ARM_FIRST + 3).chain([Y]).chain(MU..MU + 4) {
                to[number * GROUP + place] = scratch[of(c, number)];
            }
        }
        (others, count - others)
    }

    /// Puts the accelerations of the environment at `base` back.
    pub fn scatter(&self, scratch: &mut [f32], base: usize, place: usize) {
        let (a, b) = (body(base, AGENT_SLOT), body(base, self.slots[place]));
        if self.agents.touches[place] > 0.0 {
            for (k, motion) in PLANAR.into_iter().enumerate() {
                scratch[a + ACC + motion] = self.agents.acceleration[k][place];
            }
        }
        if self.objects.touches[place] > 0.0 {
            for k in 0..6 {
                scratch[b + ACC + k] = self.objects.acceleration[k][place];
            }
        }
    }

    /// All contacts are complete, and no other than these are in the memory that counts.
    pub fn begin(&mut self) {
        (self.contacts_used, self.floor_used) = self.longest();
    }

    /// Puts what is ready at `from` of `other` in the place of what is solved.
    pub fn take_over(&mut self, place: usize, other: &Self, from: usize) {
        self.agents.take_over(place, &other.agents, from);
        self.objects.take_over(place, &other.objects, from);
        self.slots[place] = other.slots[from];
        self.moved[place] = 0.0;
        let (count, floor) = (other.contact_counts[from], other.floor_counts[from]);
        take_contacts(&mut self.contacts, &mut self.contacts_used, place, &other.contacts, count, from, &ALL);
        take_contacts(&mut self.floor, &mut self.floor_used, place, &other.floor, floor, from, &UPRIGHT);
        self.contact_counts[place] = count;
        self.floor_counts[place] = floor;
    }

    /// The most contacts that one of the environments has, and the most with the floor.
    pub fn longest(&self) -> (usize, usize) {
        let most = |counts: &Eight| counts.iter().fold(0.0f32, |most, count| most.max(*count)) as usize;
        (most(&self.contact_counts), most(&self.floor_counts))
    }
}
