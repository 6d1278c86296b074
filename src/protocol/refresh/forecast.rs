//! What a run of the protocol takes: the circuit, run over nothing.

use std::sync::Arc;

use super::{Circuit, Form, Layout, Place, Policy, Refresher, Refreshes, Request, Schedule, Settings};
use crate::{
    backend::{
        BackendError, Meter, OperationCounts,
        slots::{Dry, Engine, Of, SlotError, Slots, State, Work},
    },
    math::stream::Stream,
    protocol::{ProtocolError, channel::LENGTH_BYTES, message::HEADER_BYTES, transcript::Traffic},
};

/// A message that asks the client, and what it answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// What is asked for.
    pub request: Request,
    /// Ciphertexts that are sent.
    pub sent: usize,
    /// What is known of them.
    pub state: State,
    /// Ciphertexts that come back.
    pub answered: usize,
}

/// A circuit's course.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {
    /// Where it asks.
    pub schedule: Schedule,
    /// What it asks, in order.
    pub exchanges: Vec<Exchange>,
    /// What is known of its results: of training the loss, then weights layer by layer; of classification the outputs.
    pub results: Vec<State>,
    /// Of training: the levels of the weights before they are made short to be sent.
    weight_levels: Vec<usize>,
}

/// What a run of the protocol takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// An iteration; none where the network is given.
    pub training: Option<Script>,
    /// A batch of classifications.
    pub classification: Script,
    /// All of it.
    pub total: Tally,
    /// Bytes of the keys that the server is given.
    pub key_bytes: usize,
    /// In all iterations.
    pub training_refreshes: Refreshes,
    /// In all classifications.
    pub classification_refreshes: Refreshes,
}

/// A client that is not there.
struct Absent<'a> {
    slots: &'a Slots<Dry>,
    settings: &'a Settings,
    layout: Layout,
    /// Every place that was passed.
    passed: Vec<Place>,
    exchanges: Vec<Exchange>,
    thin: bool,
}

impl Refresher<Dry> for Absent<'_> {
    fn refresh(
        &mut self,
        request: Request,
        ciphertexts: Vec<Of<Dry>>,
    ) -> Result<Vec<Of<Dry>>, ProtocolError> {
        let rest = if self.thin { ciphertexts.get(..1).unwrap_or_default() } else { &ciphertexts[..] };
        let mut state = None;
        self.slots.together(ciphertexts.len(), || {
            rest.iter().try_for_each(|ciphertext| {
                let short = self.slots.compact(ciphertext)?;
                self.slots.decrypt(&(), &short)?;
                state.get_or_insert_with(|| short.state().clone());
                Ok::<_, SlotError>(())
            })
        })?;
        let Some(state) = state else { return Ok(ciphertexts) };
        let answered = request.answered(&self.layout, ciphertexts.len());
        let (scale, magnitude) = self.settings.fresh(request.place.0, self.slots.rules());
        self.exchanges.push(Exchange { request, sent: ciphertexts.len(), state, answered });
        let fresh = || self.slots.encrypt(&(), &[], scale, magnitude, &Stream::seeded(0));
        self.slots.together(answered, || {
            let first = fresh()?;
            if self.thin {
                return Ok(vec![first; answered]);
            }
            let rest = (1..answered).map(|_| fresh());
            Ok(std::iter::once(Ok(first)).chain(rest).collect::<Result<_, _>>()?)
        })
    }

    fn pass(&mut self, place: Place) {
        if !self.passed.contains(&place) {
            self.passed.push(place);
        }
    }
}

impl Request {
    /// Ciphertexts that come back for so many.
    pub(super) fn answered(&self, layout: &Layout, sent: usize) -> usize {
        match (self.from, self.to) {
            (Form::Grouped, Form::Replicated) => self.neurons,
            (Form::Replicated, Form::Grouped) => layout.groups(self.neurons),
            _ => sent,
        }
    }
}

/// Plans over one engine.
struct Planner<'a> {
    settings: &'a Settings,
    engine: Arc<Dry>,
    layout: Layout,
}

/// What came of a course: its results, or why it ended, and the places that it passed.
struct Course {
    passed: Vec<Place>,
    exchanges: Vec<Exchange>,
    results: Result<Results, ProtocolError>,
}

/// The states of results, and the levels of weights before they were made short.
type Results = (Vec<State>, Vec<usize>);

impl<'a> Planner<'a> {
    /// None where a batch does not fit the slots.
    fn new<E: Engine>(settings: &'a Settings, engine: &E, levels: usize) -> Option<Self> {
        let layout = Layout::new(engine.slots(), engine.row(), settings.log_period(), settings.packing)?;
        Some(Self { settings, engine: Arc::new(Dry::of(engine, levels)), layout })
    }

    fn slots(&self) -> Slots<Dry> {
        Slots::new(Arc::clone(&self.engine), Meter::default())
    }

    /// What some work takes.
    fn tally(&self, work: impl FnOnce(&Slots<Dry>) -> Result<(), SlotError>) -> Result<Tally, SlotError> {
        let slots = self.slots();
        work(&slots)?;
        Ok(Tally { operations: slots.meter().counts(), work: slots.work(), ..Tally::default() })
    }

    fn run(&self, slots: &Slots<Dry>, schedule: &Schedule, training: bool, thin: bool) -> Course {
        let (settings, layout) = (self.settings, self.layout);
        let circuit = Circuit { slots, evaluation: &0, settings, schedule, layout, thin };
        let mut client = Absent { slots, settings, layout, passed: Vec::new(), exchanges: Vec::new(), thin };
        let results = self.course(&circuit, &mut client, training);
        Course { passed: client.passed, exchanges: client.exchanges, results }
    }

    /// From fresh ciphertexts, which are not counted, to results.
    fn course(
        &self,
        circuit: &Circuit<'_, Dry>,
        client: &mut Absent<'_>,
        training: bool,
    ) -> Result<Results, ProtocolError> {
        let (settings, slots) = (self.settings, circuit.slots);
        let encrypt = |count: usize, point| {
            let (scale, magnitude) = settings.fresh(point, slots.rules());
            let uncounted = self.slots();
            let one = uncounted.encrypt(&(), &[], scale, magnitude, &Stream::seeded(0))?;
            Ok::<_, SlotError>(vec![one; count])
        };
        let mut weights = (1..=settings.layers())
            .map(|layer| {
                let groups = self.layout.groups(settings.widths[layer]);
                encrypt(groups * settings.widths[layer - 1], super::Point::Weight)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let inputs = encrypt(settings.widths[0], super::Point::Activation)?;
        if !training {
            let outputs = circuit.classify(client, &weights, inputs)?;
            return Ok((outputs.iter().map(|output| output.state().clone()).collect(), Vec::new()));
        }
        let outputs = settings.widths.last().copied().unwrap_or(0);
        let labels = encrypt(self.layout.groups(outputs), super::Point::Label)?;
        let loss = circuit.iterate(client, &mut weights, inputs, labels)?;
        let mut results = vec![loss.state().clone()];
        let mut levels = Vec::new();
        // They are sent once, and not once an iteration.
        let uncounted = self.slots();
        for layer in &weights {
            if let Some(first) = layer.first() {
                levels.push(first.state().level);
                results.push(uncounted.compact(first)?.state().clone());
            }
        }
        Ok((results, levels))
    }

    /// The schedule of the policy, if it can be kept.
    ///
    /// # Errors
    /// Where the parameters do not suffice, however often the client is asked.
    fn schedule(&self, training: bool) -> Result<Schedule, SlotError> {
        let least = Schedule::least(self.settings, self.layout.blocks, training);
        let schedule = match self.settings.policy {
            Policy::Paper(levels) if training => {
                let all = self.opportunities(&least)?;
                Schedule::paper(self.settings, levels, self.layout.blocks, &all)
            }
            _ => self.laziest(least, training)?,
        };
        self.lowered(schedule, training)
    }

    fn thin(&self, schedule: &Schedule, training: bool) -> Course {
        self.run(&self.slots(), schedule, training, true)
    }

    /// Whether a schedule suffices, and if not, why.
    fn suffices(&self, schedule: &Schedule, training: bool) -> Result<(), SlotError> {
        self.thin(schedule, training).results.map(drop).map_err(slot_error)
    }

    /// All places of an iteration.
    fn opportunities(&self, least: &Schedule) -> Result<Vec<Place>, SlotError> {
        let mut schedule = least.clone();
        loop {
            let course = self.thin(&schedule, true);
            let before = schedule.refreshed.len();
            schedule.refreshed.extend(&course.passed);
            match course.results {
                Ok(_) => return Ok(course.passed),
                Err(error) if schedule.refreshed.len() == before => return Err(slot_error(error)),
                Err(_) => {}
            }
        }
    }

    /// Places are added, cheapest first, until the circuit comes to its end; then those are taken out again that it does without.
    fn laziest(&self, least: Schedule, training: bool) -> Result<Schedule, SlotError> {
        let cost = |place: &Place| place.0.values(self.settings, place.1);
        let mut schedule = least;
        let mut course = self.thin(&schedule, training);
        while let Err(error) = course.results {
            let mut candidates: Vec<_> =
                course.passed.iter().rev().filter(|place| !schedule.refreshed.contains(place)).collect();
            candidates.sort_by_key(|place| cost(place));
            let with = |place: &Place| {
                let mut more = schedule.clone();
                more.refreshed.insert(*place);
                let course = self.thin(&more, training);
                (more, course)
            };
            // Farther, or to the end.
            let better = candidates
                .iter()
                .map(|place| with(place))
                .find(|(_, other)| other.results.is_ok() || other.passed.len() > course.passed.len());
            // Where no single one helps: the latest, as long as there is one.
            let next = better.or_else(|| {
                let latest = course.passed.iter().rev().find(|place| !schedule.refreshed.contains(place))?;
                Some(with(latest))
            });
            let Some((more, further)) = next else { return Err(slot_error(error)) };
            (schedule, course) = (more, further);
        }
        let mut taken: Vec<_> = schedule.refreshed.iter().copied().collect();
        taken.sort_by_key(|place| std::cmp::Reverse(cost(place)));
        let kept = Schedule::least(self.settings, self.layout.blocks, training).refreshed;
        for place in taken.into_iter().filter(|place| !kept.contains(place)) {
            let mut fewer = schedule.clone();
            fewer.refreshed.remove(&place);
            if self.suffices(&fewer, training).is_ok() {
                schedule = fewer;
            }
        }
        Ok(schedule)
    }

    /// With the lowest level for gradients.
    fn lowered(&self, mut schedule: Schedule, training: bool) -> Result<Schedule, SlotError> {
        self.suffices(&schedule, training)?;
        if training {
            for level in 1..=self.engine.rules().levels() {
                schedule.gradient_level = Some(level);
                if self.suffices(&schedule, training).is_ok() {
                    return Ok(schedule);
                }
            }
            schedule.gradient_level = None;
        }
        Ok(schedule)
    }

    fn script(&self, slots: &Slots<Dry>, training: bool, schedule: Schedule) -> Result<Script, SlotError> {
        let course = self.run(slots, &schedule, training, false);
        let (results, weight_levels) = course.results.map_err(slot_error)?;
        Ok(Script { schedule, exchanges: course.exchanges, results, weight_levels })
    }
}

fn slot_error(error: ProtocolError) -> SlotError {
    match error {
        ProtocolError::Backend(BackendError::Slots(error)) => error,
        // Nothing else can happen where nobody is asked and nothing is sent.
        _ => SlotError::Interrupted,
    }
}

impl Settings {
    /// The schedules of the policy for training and classification.
    ///
    /// # Errors
    /// Where the parameters do not suffice.
    pub fn schedules<E: Engine>(
        &self,
        engine: &E,
        levels: usize,
    ) -> Result<[Option<Schedule>; 2], SlotError> {
        let planner = self.planner(engine, levels)?;
        let training = (self.iterations > 0).then(|| planner.schedule(true)).transpose()?;
        Ok([training, Some(planner.schedule(false)?)])
    }

    fn planner<E: Engine>(&self, engine: &E, levels: usize) -> Result<Planner<'_>, SlotError> {
        let (what, expected) = ("a batch, rounded up to a power of two,", engine.row());
        let found = 1 << self.log_period();
        Planner::new(self, engine, levels).ok_or(SlotError::Length { what, found, expected })
    }

    /// What training and the classification of so many samples take on an engine by these schedules.
    ///
    /// # Errors
    /// Where the parameters do not suffice.
    pub fn forecast<E: Engine>(
        &self,
        engine: &E,
        levels: usize,
        [for_training, for_classification]: &[Option<Schedule>; 2],
        samples: usize,
    ) -> Result<Forecast, SlotError> {
        let planner = self.planner(engine, levels)?;
        let layout = planner.layout;
        let mut total = Tally::default();
        let key_bytes = engine.evaluation_bytes(self.steps(&layout).len());
        total.up(1, key_bytes, 0);
        let layers: Vec<_> = (1..=self.layers())
            .map(|layer| layout.groups(self.widths[layer]) * self.widths[layer - 1])
            .collect();
        let outputs = layout.groups(self.widths.last().copied().unwrap_or(0));
        let fresh = engine.payload_bytes(levels, true);
        let mut model = planner.tally(|slots| {
            layers.iter().try_for_each(|count| slots.count_fresh(self, super::Point::Weight, *count))
        })?;
        for count in &layers {
            for part in chunks(*count, fresh) {
                model.up(1, part * fresh, part);
            }
        }
        let mut training = None;
        let (mut training_refreshes, mut classification_refreshes) = Default::default();
        if let Some(schedule) = for_training {
            total.add(&model, 1);
            let mut script = Script::default();
            let mut iteration = planner.tally(|slots| {
                slots.count_fresh(self, super::Point::Activation, self.widths[0])?;
                slots.count_fresh(self, super::Point::Label, outputs)?;
                script = planner.script(slots, true, schedule.clone())?;
                slots.count_opened(script.results.first(), 1)
            })?;
            iteration.up(1, (self.widths[0] + outputs) * fresh, self.widths[0] + outputs);
            iteration.exchanges(&script, engine, fresh);
            iteration
                .answer(1, script.results.first().map_or(0, |loss| engine.payload_bytes(loss.level, false)));
            let iterations = self.iterations as u64;
            training_refreshes = script.schedule.refreshes(self).times(iterations);
            total.add(&iteration, iterations);
            let states = script.results.iter().skip(1).zip(&layers);
            let mut end = planner.tally(|slots| {
                states.clone().zip(&script.weight_levels).try_for_each(|((state, count), level)| {
                    slots.together(*count, || slots.dropped(*count, *level, state.level))?;
                    slots.count_opened(Some(state), *count)
                })
            })?;
            for (state, count) in states {
                let bytes = engine.payload_bytes(state.level, false);
                chunks(*count, bytes).for_each(|part| end.down(part, bytes));
            }
            total.add(&end, 1);
            training = Some(script);
        }
        let mut classification = Script::default();
        if let Some(schedule) = for_classification {
            total.add(&model, 1);
            let mut batch = planner.tally(|slots| {
                slots.count_fresh(self, super::Point::Activation, self.widths[0])?;
                classification = planner.script(slots, false, schedule.clone())?;
                slots.count_opened(classification.results.first(), outputs)
            })?;
            let level = classification.results.first().map_or(1, |state| state.level);
            batch.up(1, self.widths[0] * fresh, self.widths[0]);
            batch.exchanges(&classification, engine, fresh);
            batch.answer(outputs, engine.payload_bytes(level, false));
            let batches = samples.div_ceil(self.batch) as u64;
            classification_refreshes = classification.schedule.refreshes(self).times(batches);
            total.add(&batch, batches);
        }
        Ok(Forecast {
            training,
            classification,
            total,
            key_bytes,
            training_refreshes,
            classification_refreshes,
        })
    }
}

/// Numbers of ciphertexts in the messages that so many take.
pub(super) fn chunks(count: usize, bytes: usize) -> impl Iterator<Item = usize> {
    let most = (super::circuit::MESSAGE_BYTES / bytes.max(1)).max(1);
    (0..count).step_by(most).map(move |start| most.min(count - start))
}

impl Slots<Dry> {
    fn count_fresh(&self, settings: &Settings, point: super::Point, count: usize) -> Result<(), SlotError> {
        let (scale, magnitude) = settings.fresh(point, self.rules());
        self.together(count, || {
            (0..count)
                .try_for_each(|_| self.encrypt(&(), &[], scale, magnitude, &Stream::seeded(0)).map(drop))
        })
    }

    fn count_opened(&self, state: Option<&State>, count: usize) -> Result<(), SlotError> {
        let Some(state) = state else { return Ok(()) };
        self.together(count, || self.opened(count, state.level))
    }
}

/// What a part of a run takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// Operations of both parties.
    pub operations: OperationCounts,
    /// The same job by job.
    pub work: Work,
    /// What goes over the channel.
    pub traffic: Traffic,
    /// Bytes of the longest message.
    pub longest_message: usize,
}

impl Tally {
    fn up(&mut self, messages: u64, bytes: usize, ciphertexts: usize) {
        self.traffic.messages_up += messages;
        self.traffic.bytes_up += messages * self.framed(bytes);
        self.traffic.ciphertexts_up += messages * ciphertexts as u64;
    }

    fn down(&mut self, ciphertexts: usize, each: usize) {
        self.traffic.messages_down += 1;
        self.traffic.bytes_down += self.framed(ciphertexts * each);
        self.traffic.ciphertexts_down += ciphertexts as u64;
    }

    /// What the client waits for.
    fn answer(&mut self, ciphertexts: usize, each: usize) {
        self.down(ciphertexts, each);
        self.traffic.rounds += 1;
    }

    fn framed(&mut self, bytes: usize) -> u64 {
        let bytes = LENGTH_BYTES + HEADER_BYTES + bytes;
        self.longest_message = self.longest_message.max(bytes);
        bytes as u64
    }

    fn exchanges<E: Engine>(&mut self, script: &Script, engine: &E, fresh: usize) {
        for exchange in &script.exchanges {
            self.answer(exchange.sent, engine.payload_bytes(exchange.state.level, false));
            self.up(1, exchange.answered * fresh, exchange.answered);
        }
    }

    fn add(&mut self, other: &Self, times: u64) {
        self.operations = self.operations.plus(&other.operations.times(times));
        for (key, count) in &other.work {
            *self.work.entry(*key).or_default() += count * times;
        }
        self.work.retain(|_, count| *count > 0);
        self.traffic = self.traffic.plus(&other.traffic, times);
        self.longest_message = self.longest_message.max(other.longest_message);
    }
}
