//! The bytes that say what follows; the crate's documentation holds the table.

/// Raised whenever the encoding changes, so that old and new tokens never meet by accident.
pub(crate) const ENCODING_VERSION: u8 = 0x01;

pub(crate) const UNIT: u8 = 0x01;
pub(crate) const BOOL: u8 = 0x02;
pub(crate) const CHAR: u8 = 0x03;
pub(crate) const STR: u8 = 0x04;
pub(crate) const BYTES: u8 = 0x05;

pub(crate) const I8: u8 = 0x10;
pub(crate) const I16: u8 = 0x11;
pub(crate) const I32: u8 = 0x12;
pub(crate) const I64: u8 = 0x13;
pub(crate) const I128: u8 = 0x14;
pub(crate) const U8: u8 = 0x18;
pub(crate) const U16: u8 = 0x19;
pub(crate) const U32: u8 = 0x1a;
pub(crate) const U64: u8 = 0x1b;
pub(crate) const U128: u8 = 0x1c;
pub(crate) const F32: u8 = 0x20;
pub(crate) const F64: u8 = 0x21;

pub(crate) const NONE: u8 = 0x30;
pub(crate) const SOME: u8 = 0x31;

pub(crate) const SEQ: u8 = 0x40;
pub(crate) const TUPLE: u8 = 0x41;
pub(crate) const MAP: u8 = 0x42;

pub(crate) const UNIT_STRUCT: u8 = 0x50;
pub(crate) const NEWTYPE_STRUCT: u8 = 0x51;
pub(crate) const TUPLE_STRUCT: u8 = 0x52;
pub(crate) const STRUCT: u8 = 0x53;

pub(crate) const UNIT_VARIANT: u8 = 0x60;
pub(crate) const NEWTYPE_VARIANT: u8 = 0x61;
pub(crate) const TUPLE_VARIANT: u8 = 0x62;
pub(crate) const STRUCT_VARIANT: u8 = 0x63;

pub(crate) const FIELD: u8 = 0x70;
pub(crate) const END: u8 = 0x71;

pub(crate) const FUNCTION: u8 = 0x80;
pub(crate) const KEY: u8 = 0x81;
pub(crate) const LIST: u8 = 0x82;
pub(crate) const TOKEN: u8 = 0x83;

pub(crate) const FAILED: u8 = 0xff;
