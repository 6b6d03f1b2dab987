//! The codec of the service's messages: as prost's, but a message is counted before it is decoded.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::census::Counted;

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub struct CountingCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for CountingCodec<T, U> {
    fn default() -> CountingCodec<T, U> {
        CountingCodec(PhantomData)
    }
}

impl<T, U> Codec for CountingCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Counted + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CountingDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> CountingDecoder<U> {
        CountingDecoder(PhantomData)
    }
}

/// Decodes `U`, unless its lists are too long.
#[derive(Debug)]
pub struct CountingDecoder<U>(PhantomData<U>);

impl<U: Message + Counted + Default> Decoder for CountingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Of a buffer that is in one piece this is no copy.
        let encoded = buffer.copy_to_bytes(buffer.remaining());
        U::LAYOUT.count(&encoded)?;
        let message = U::decode(encoded).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(message))
    }
}
