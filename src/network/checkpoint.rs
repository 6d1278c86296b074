//! Trainings that go on where they were interrupted.
//!
//! A checkpoint holds everything that the next epoch depends on, as safetensors: the network, the optimiser's memory,
//! the best network on held-out samples, and the number of epochs. The order of samples comes from the stream and the
//! number of the epoch, so that no state of a generator is needed.

use super::{
    Network, NetworkError,
    exchange::{Description, ExchangeError, Reader, Writer},
    real::Real,
    settings::Training,
    training::{Best, Stop, Trainer},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    network: Description,
    settings: Training,
    epochs: usize,
    steps: u64,
    scalars: usize,
    stop: Option<Stop>,
    best: Option<BestHeader>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BestHeader {
    epoch: usize,
    failures: usize,
}

impl<T: Real> Trainer<T> {
    /// The state after an epoch, from which [`Trainer::resume`] goes on to the same bytes.
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.put_network("network.", &self.network);
        for (index, vector) in self.state.vectors.iter().enumerate() {
            writer.put(&format!("state.{index}"), &[vector.len()], vector);
        }
        writer.put("scalars", &[self.state.scalars.len()], &self.state.scalars);
        if let Some(best) = &self.best {
            writer.put_network("best.", &best.network);
            writer.put("best_loss", &[1], &[best.loss]);
        }
        writer.finish(&Header {
            network: Description::of(&self.network),
            settings: self.settings,
            epochs: self.epochs,
            steps: self.state.steps,
            scalars: self.state.scalars.len(),
            stop: self.stop,
            best: self.best.as_ref().map(|best| BestHeader { epoch: best.epoch, failures: best.failures }),
        })
    }

    /// Goes on from a checkpoint of a training of the same architecture with the same settings; `network` gives the
    /// architecture alone.
    ///
    /// # Errors
    /// [`NetworkError::Checkpoint`] when it is not one, beside what [`Trainer::new`] refuses.
    pub fn resume(network: Network<T>, settings: Training, bytes: &[u8]) -> Result<Self, NetworkError> {
        let trainer = Self::new(network, settings)?;
        trainer.restored(bytes).map_err(NetworkError::Checkpoint)
    }

    fn restored(mut self, bytes: &[u8]) -> Result<Self, ExchangeError> {
        let (mut reader, header) = Reader::new::<Header>(bytes)?;
        if header.network != Description::of(&self.network) {
            return Err(ExchangeError::Other { what: "architecture" });
        }
        if header.settings != self.settings {
            return Err(ExchangeError::Other { what: "setting" });
        }
        if header.epochs > self.settings.epochs || header.scalars != self.state.scalars.len() {
            return Err(ExchangeError::Other { what: "number of epochs" });
        }
        reader.take_network("network.", &mut self.network)?;
        for (index, vector) in self.state.vectors.iter_mut().enumerate() {
            let shape = [vector.len()];
            reader.take(&format!("state.{index}"), &shape, vector)?;
        }
        let shape = [self.state.scalars.len()];
        reader.take("scalars", &shape, &mut self.state.scalars)?;
        if let Some(best) = header.best {
            let mut loss = [0.0];
            reader.take("best_loss", &[1], &mut loss)?;
            let mut network = self.network.clone();
            reader.take_network("best.", &mut network)?;
            self.best = Some(Best { loss: loss[0], epoch: best.epoch, failures: best.failures, network });
        }
        reader.finish()?;
        (self.epochs, self.state.steps, self.stop) = (header.epochs, header.steps, header.stop);
        Ok(self)
    }
}
