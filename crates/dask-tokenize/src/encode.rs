//! The canonical encoding as a serde format.

use serde::ser::{self, Serialize, Serializer};

use crate::block::Block;
use crate::error::TokenizeError;
use crate::map::Entries;
use crate::tag;

/// How many levels of values inside values a token can be taken of.
///
/// It bounds the stack: a list linked through `Option<Box<Node>>` has two levels a node.
pub const MAX_DEPTH: u32 = 128;

type Outcome<T = ()> = Result<T, TokenizeError>;

/// Writes one value. The depth travels with it and not in the block, so that a `Serialize`
/// implementation that hides an error of its parts cannot unbalance it.
pub(crate) struct Encoder<'a> {
    block: &'a mut Block,
    depth: u32,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(block: &'a mut Block) -> Self {
        Encoder { block, depth: 0 }
    }

    /// The encoder for what lies within this value.
    #[inline]
    fn inner(self) -> Outcome<Encoder<'a>> {
        if self.depth == MAX_DEPTH {
            return Err(TokenizeError::TooDeep { limit: MAX_DEPTH });
        }
        Ok(Encoder { block: self.block, depth: self.depth + 1 })
    }

    #[inline]
    fn number<const N: usize>(self, tag: u8, bytes: [u8; N]) -> Outcome {
        self.block.tagged(tag, bytes);
        Ok(())
    }

    fn named(&mut self, tag: u8, name: &str) {
        self.block.tag(tag);
        self.block.sized(name.as_bytes());
    }

    #[inline]
    fn items(self) -> Outcome<Items<'a>> {
        let Encoder { block, depth } = self.inner()?;
        Ok(Items { block, depth, count: 0 })
    }
}

macro_rules! integers {
    ($($method:ident: $integer:ty = $tag:expr;)*) => {$(
        #[inline]
        fn $method(self, value: $integer) -> Outcome {
            self.number($tag, value.to_le_bytes())
        }
    )*};
}

impl<'a> Serializer for Encoder<'a> {
    type Ok = ();
    type Error = TokenizeError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Outcome {
        self.number(tag::BOOL, [u8::from(value)])
    }

    integers! {
        serialize_i8: i8 = tag::I8;
        serialize_i16: i16 = tag::I16;
        serialize_i32: i32 = tag::I32;
        serialize_i64: i64 = tag::I64;
        serialize_i128: i128 = tag::I128;
        serialize_u8: u8 = tag::U8;
        serialize_u16: u16 = tag::U16;
        serialize_u32: u32 = tag::U32;
        serialize_u64: u64 = tag::U64;
        serialize_u128: u128 = tag::U128;
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Outcome {
        let bits = match value {
            _ if value.is_nan() => 0x7fc0_0000,
            0.0 => 0,
            _ => value.to_bits(),
        };
        self.number(tag::F32, bits.to_le_bytes())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Outcome {
        let bits = match value {
            _ if value.is_nan() => 0x7ff8_0000_0000_0000,
            0.0 => 0,
            _ => value.to_bits(),
        };
        self.number(tag::F64, bits.to_le_bytes())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Outcome {
        self.number(tag::CHAR, u32::from(value).to_le_bytes())
    }

    fn serialize_str(mut self, value: &str) -> Outcome {
        self.named(tag::STR, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Outcome {
        self.block.tag(tag::BYTES);
        self.block.sized(value);
        Ok(())
    }

    fn serialize_none(self) -> Outcome {
        self.number(tag::NONE, [])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Outcome {
        self.block.tag(tag::SOME);
        value.serialize(self.inner()?)
    }

    fn serialize_unit(self) -> Outcome {
        self.number(tag::UNIT, [])
    }

    fn serialize_unit_struct(mut self, name: &'static str) -> Outcome {
        self.named(tag::UNIT_STRUCT, name);
        Ok(())
    }

    fn serialize_unit_variant(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Outcome {
        self.named(tag::UNIT_VARIANT, name);
        self.block.sized(variant.as_bytes());
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Outcome {
        self.named(tag::NEWTYPE_STRUCT, name);
        value.serialize(self.inner()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Outcome {
        self.named(tag::NEWTYPE_VARIANT, name);
        self.block.sized(variant.as_bytes());
        value.serialize(self.inner()?)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Outcome<Items<'a>> {
        self.block.tag(tag::SEQ);
        self.items()
    }

    fn serialize_tuple(self, _len: usize) -> Outcome<Items<'a>> {
        self.block.tag(tag::TUPLE);
        self.items()
    }

    fn serialize_tuple_struct(mut self, name: &'static str, _len: usize) -> Outcome<Items<'a>> {
        self.named(tag::TUPLE_STRUCT, name);
        self.items()
    }

    fn serialize_tuple_variant(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Outcome<Items<'a>> {
        self.named(tag::TUPLE_VARIANT, name);
        self.block.sized(variant.as_bytes());
        self.items()
    }

    fn serialize_map(self, _len: Option<usize>) -> Outcome<Entries<'a>> {
        self.block.tag(tag::MAP);
        let Encoder { block, depth } = self.inner()?;
        Ok(Entries::open(block, depth))
    }

    fn serialize_struct(mut self, name: &'static str, _len: usize) -> Outcome<Items<'a>> {
        self.named(tag::STRUCT, name);
        self.items()
    }

    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Outcome<Items<'a>> {
        self.named(tag::STRUCT_VARIANT, name);
        self.block.sized(variant.as_bytes());
        self.items()
    }
}

/// Writes a value at a depth that was already checked.
pub(crate) fn encode_at<T>(value: &T, block: &mut Block, depth: u32) -> Outcome
where
    T: Serialize + ?Sized,
{
    value.serialize(Encoder { block, depth })
}

/// The items of a sequence or tuple, or the fields of a struct: written as they come, and counted
/// at the end, whatever length was announced.
pub(crate) struct Items<'a> {
    block: &'a mut Block,
    depth: u32,
    count: u64,
}

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        self.count += 1;
        encode_at(value, self.block, self.depth)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Outcome {
        self.block.tag(tag::FIELD);
        self.block.sized(name.as_bytes());
        self.item(value)
    }

    fn close(self) -> Outcome {
        self.block.end(self.count);
        Ok(())
    }
}

impl ser::SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = TokenizeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        self.item(value)
    }

    fn end(self) -> Outcome {
        self.close()
    }
}

impl ser::SerializeTuple for Items<'_> {
    type Ok = ();
    type Error = TokenizeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        self.item(value)
    }

    fn end(self) -> Outcome {
        self.close()
    }
}

impl ser::SerializeTupleStruct for Items<'_> {
    type Ok = ();
    type Error = TokenizeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        self.item(value)
    }

    fn end(self) -> Outcome {
        self.close()
    }
}

impl ser::SerializeTupleVariant for Items<'_> {
    type Ok = ();
    type Error = TokenizeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        self.item(value)
    }

    fn end(self) -> Outcome {
        self.close()
    }
}

impl ser::SerializeStruct for Items<'_> {
    type Ok = ();
    type Error = TokenizeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Outcome {
        self.field(name, value)
    }

    fn end(self) -> Outcome {
        self.close()
    }
}

impl ser::SerializeStructVariant for Items<'_> {
    type Ok = ();
    type Error = TokenizeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Outcome {
        self.field(name, value)
    }

    fn end(self) -> Outcome {
        self.close()
    }
}
