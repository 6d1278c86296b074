//! kzen-paillier behind the line protocol of `serve.py`. `bench-peers --with-cargo-peers` builds it in a project of its
//! own, outside the repository's.

use std::{
    collections::BTreeMap,
    error::Error,
    io::{BufRead, Write},
    time::Instant,
};

use kzen_paillier::{
    Add, BigInt, Decrypt, Encrypt, KeyGeneration, Keypair, Mul, Paillier, RawCiphertext, RawPlaintext,
};
use serde_json::{Value, json};

type Failure = Box<dyn Error>;
type Call = Box<dyn FnMut()>;

/// Messages and scalars come from here: their values do not matter, their lengths do.
struct Lehmer(u64);

impl Lehmer {
    fn draw(&mut self, bits: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0xda94_2042_e4dd_58b5) ^ (self.0 >> 32);
        (self.0 & ((1 << bits) - 1)) | 1 << (bits - 1)
    }
}

fn same(found: &RawPlaintext, expected: u128) -> Result<(), Failure> {
    if found.0.to_string() == expected.to_string() { Ok(()) } else { Err("a wrong result".into()) }
}

/// A call that does one operation on the next item of the batch.
fn prepare(op: &str, params: &Value, pairs: &mut BTreeMap<u64, Keypair>) -> Result<Call, Failure> {
    let number = |name: &str| params[name].as_u64().ok_or(format!("no {name}"));
    let count = number("batch")? as usize;
    let bits = number("bits")?;
    let pair = pairs.entry(bits).or_insert_with(|| Paillier::keypair_with_modulus_size(bits as usize));
    let (public, secret) = pair.keys();
    let mut draws = Lehmer(bits | 1);
    let messages: Vec<u64> = (0..count).map(|_| draws.draw(30)).collect();
    let plain = |m: u64| RawPlaintext::from(BigInt::from(m));
    let ciphertexts: Vec<RawCiphertext<'static>> =
        messages.iter().map(|&m| Paillier::encrypt(&public, plain(m))).collect();
    same(&Paillier::decrypt(&secret, &ciphertexts[0]), messages[0].into())?;
    let mut next = 0;
    let mut step = move || {
        next = (next + 1) % count;
        next
    };
    Ok(match op {
        "paillier_encrypt" if params["randomness"] != "textbook" => {
            return Err("kzen-paillier has textbook randomness alone".into());
        }
        "paillier_encrypt" if params["owner"] == true => {
            let cipher: RawCiphertext = Paillier::encrypt(&secret, plain(messages[0]));
            same(&Paillier::decrypt(&secret, cipher), messages[0].into())?;
            Box::new(move || {
                let c: RawCiphertext = Paillier::encrypt(&secret, plain(messages[step()]));
                std::hint::black_box(c);
            })
        }
        "paillier_encrypt" => Box::new(move || {
            let c: RawCiphertext = Paillier::encrypt(&public, plain(messages[step()]));
            std::hint::black_box(c);
        }),
        "paillier_decrypt" => Box::new(move || {
            std::hint::black_box(Paillier::decrypt(&secret, &ciphertexts[step()]));
        }),
        "paillier_scalar" => {
            let scalar_bits = number("scalar_bits")?;
            let scalars: Vec<u64> = (0..count).map(|_| draws.draw(scalar_bits)).collect();
            let product: RawCiphertext = Paillier::mul(&public, ciphertexts[0].clone(), plain(scalars[0]));
            same(&Paillier::decrypt(&secret, product), u128::from(messages[0]) * u128::from(scalars[0]))?;
            Box::new(move || {
                let i = step();
                // kzen-paillier takes its arguments by value and borrows when they are made from references.
                let c: RawCiphertext =
                    Paillier::mul(&public, RawCiphertext::from(&*ciphertexts[i].0), plain(scalars[i]));
                std::hint::black_box(c);
            })
        }
        "paillier_add" => {
            let last = &ciphertexts[count - 1];
            let sum: RawCiphertext = Paillier::add(&public, ciphertexts[0].clone(), last.clone());
            same(
                &Paillier::decrypt(&secret, sum),
                u128::from(messages[0]) + u128::from(messages[count - 1]),
            )?;
            Box::new(move || {
                let i = step();
                let c: RawCiphertext = Paillier::add(
                    &public,
                    RawCiphertext::from(&*ciphertexts[i].0),
                    RawCiphertext::from(&*ciphertexts[count - 1 - i].0),
                );
                std::hint::black_box(c);
            })
        }
        _ => return Err(format!("kzen-paillier does not do {op}").into()),
    })
}

fn sample(call: &mut Call, seconds: f64) -> Value {
    let started = Instant::now();
    let mut calls = 0u64;
    loop {
        call();
        calls += 1;
        let elapsed = started.elapsed().as_secs_f64();
        if elapsed >= seconds {
            return json!({"us": elapsed * 1e6 / calls as f64, "n": calls});
        }
    }
}

fn main() -> Result<(), Failure> {
    let mut ready: BTreeMap<String, Call> = BTreeMap::new();
    let mut pairs = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let op = request["op"].as_str().ok_or("no op")?;
        let key = format!("{op} {}", request["params"]);
        if !ready.contains_key(&key) {
            match prepare(op, &request["params"], &mut pairs) {
                Ok(call) => {
                    ready.insert(key.clone(), call);
                }
                Err(error) => {
                    println!("{}", json!({"error": error.to_string()}));
                    continue;
                }
            }
        }
        let call = ready.get_mut(&key).ok_or("the workload that was just made")?;
        println!("{}", sample(call, request["seconds"].as_f64().ok_or("no seconds")?));
        std::io::stdout().flush()?;
    }
    Ok(())
}
