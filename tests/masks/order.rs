//! Messages that the protocol does not allow at the time, from either side: all of them end the conversation with a reason.

use henn::backend::{Meter, Plain};
use henn::math::stream::Stream;
use henn::protocol::ProtocolError;
use henn::protocol::channel::{Channel, Pipe, pipe};
use henn::protocol::message::{Kind, Message};
use henn::protocol::split::Settings;
use henn::protocol::split::client::Client;
use henn::protocol::split::server::Server;
use henn::protocol::transcript::Link;
use ndarray::Array2;

use super::{network, sessions, settings};

/// A client's end of a conversation with a server in the clear, after the keys.
fn with_server(settings: &Settings, client: impl FnOnce(&mut Pipe)) -> ProtocolError {
    let widths: Vec<usize> =
        settings.layers.iter().map(|layer| layer.inputs).chain([settings.outputs()]).collect();
    let initial = network(settings, &widths, 1);
    let backend = Plain::new(Meter::default());
    let (mut near, far) = pipe();
    std::thread::scope(|scope| {
        let (backend, initial) = (&backend, &initial);
        let serving = scope.spawn(move || {
            let mut links = [Link::server(Box::new(far), 8)];
            let (private, sessions) = (Stream::seeded(5), sessions());
            let models = (initial, initial);
            let server = Server::accept(backend, settings, &mut links, &private, &sessions, models, 0);
            server.unwrap().serve().map(|_| ()).unwrap_err()
        });
        near.send(Message::new(Kind::PublicKey, vec![]).into_frame()).unwrap();
        near.receive().unwrap();
        client(&mut near);
        drop(near);
        serving.join().unwrap()
    })
}

fn message(kind: Kind, layer: u32, count: u32, numbers: usize) -> Vec<u8> {
    Message { kind, layer, count, body: vec![0; 8 * numbers].into() }.into_frame()
}

#[test]
fn a_server_keeps_a_session_in_order() {
    let settings = settings(&[3, 4, 2], 4);
    let forward = || [message(Kind::Activations, 0, 1, 3), message(Kind::Activations, 1, 1, 4)];
    let errors = || message(Kind::Errors, 1, 1, 2);
    let all = settings.parameters();
    let wrong: [(Vec<Vec<u8>>, Kind); 8] = [
        // Gradients before anything else; before the errors are known; sums before the last iteration.
        (vec![message(Kind::MaskedGradients, 0, 0, all)], Kind::Activations),
        ([&forward()[..], &[message(Kind::MaskedGradients, 0, 0, all)]].concat(), Kind::Errors),
        (
            [&forward()[..], &[errors(), message(Kind::SummedGradients, 0, 0, all)]].concat(),
            Kind::MaskedGradients,
        ),
        // More equations than an iteration has.
        (vec![forward()[0].clone(), forward()[0].clone()], Kind::Activations),
        ([&forward()[..], &[errors(), errors()]].concat(), Kind::MaskedGradients),
        ([&forward()[..], &[errors(), forward()[0].clone()]].concat(), Kind::MaskedGradients),
        // A second session within the first, and the end within it.
        (vec![message(Kind::Begin, 0, 2, 0)], Kind::Activations),
        (vec![Message::new(Kind::Close, vec![]).into_frame()], Kind::Activations),
    ];
    for (messages, expected) in wrong {
        let error = with_server(&settings, |near| {
            near.send(message(Kind::Begin, 0, 4, 0)).unwrap();
            near.receive().unwrap();
            let (last, before) = messages.split_last().unwrap();
            for message in before {
                near.send(message.clone()).unwrap();
                near.receive().unwrap();
            }
            near.send(last.clone()).unwrap();
            // Waits for the end, so that the server does not see the channel closed first.
            drop(near.receive());
        });
        assert!(
            matches!(&error, ProtocolError::OutOfOrder { expected: found, .. } if *found == expected),
            "{error}, expected {expected:?}"
        );
    }
    // Two samples in an iteration, and a number of iterations that is not the one left.
    let two = with_server(&settings, |near| {
        near.send(message(Kind::Begin, 0, 4, 0)).unwrap();
        near.receive().unwrap();
        near.send(message(Kind::Activations, 0, 2, 6)).unwrap();
        drop(near.receive());
    });
    assert!(matches!(two, ProtocolError::Unexpected { .. }), "{two}");
    for left in [0, 2, 3, 5, u32::MAX] {
        let error = with_server(&settings, |near| {
            near.send(message(Kind::Begin, 0, left, 0)).unwrap();
            drop(near.receive());
        });
        assert!(error.to_string().contains(&format!("{left} iterations left, where there are 4")), "{error}");
    }
}

#[test]
fn a_client_refuses_sessions_and_answers_that_the_protocol_does_not_allow() {
    let settings = settings(&[3, 4, 2], 4);
    let session = |count| Message { kind: Kind::Session, layer: 0, count, body: vec![0; 8].into() };
    let wrong: [&[Message]; 7] = [
        &[Message::new(Kind::Updated, vec![])],
        &[session(0)],
        &[session(1)],
        &[session(4)],
        &[Message { body: vec![].into(), ..session(2) }],
        &[session(2), Message { kind: Kind::Products, layer: 0, count: 1, body: vec![0; 32].into() }],
        &[session(2), Message { kind: Kind::Sums, layer: 1, count: 1, body: vec![0; 32].into() }],
    ];
    for answers in wrong {
        let (near, mut far) = pipe();
        let error = std::thread::scope(|scope| {
            scope.spawn(move || {
                far.receive().unwrap();
                far.send(Message::new(Kind::PublicKey, vec![]).into_frame()).unwrap();
                for answer in answers {
                    far.receive().unwrap();
                    far.send(answer.clone().into_frame()).unwrap();
                }
            });
            let backend = Plain::new(Meter::default());
            let mut link = Link::client(Box::new(near), 8);
            let private = Stream::seeded(7);
            let mut client = Client::connect(&backend, &settings, &mut link, &private, 0).unwrap();
            client.train(Array2::zeros((4, 3)).view(), &[0, 1, 0, 1]).unwrap_err()
        });
        assert!(matches!(error, ProtocolError::Unexpected { .. }), "{answers:?}: {error}");
    }
}

/// Clients that are not as many as channels, and a client whose samples end within a session.
#[test]
fn clients_channels_and_samples_have_to_be_enough() {
    let mut settings = settings(&[3, 4, 2], 6);
    settings.clients = 2;
    let backend = Plain::new(Meter::default());
    let (_near, far) = pipe();
    let mut links = [Link::server(Box::new(far), 8)];
    let (private, sessions) = (Stream::seeded(5), sessions());
    let initial = network(&settings, &[3, 4, 2], 1);
    let error =
        Server::accept(&backend, &settings, &mut links, &private, &sessions, (&initial, &initial), 0).err();
    assert!(matches!(error, Some(ProtocolError::Clients { clients: 2, channels: 1 })), "{error:?}");
}
