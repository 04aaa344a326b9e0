// Decides how much of a message is read before it is refused. A head, a chunk's line and a
// trailer section are all bounded, so what one connection holds in memory is bounded too.

/** Octets of a request line without its line end, octets of a whole head, number of fields. */
export type HeadLimits = { line: number; head: number; fields: number }

export const LINE_LENGTH_MAX = 8 * 1024
export const HEAD_LENGTH_MAX = 16 * 1024
export const FIELDS_MAX = 100

export const HEAD_LIMITS: HeadLimits = {
  line: LINE_LENGTH_MAX,
  head: HEAD_LENGTH_MAX,
  fields: FIELDS_MAX,
}

/** No method that is in use comes near it. The longest that is registered has 17 letters. */
export const METHOD_LENGTH_MAX = 32

/** A trailer section is small in practice: a checksum, a status of gRPC. */
export const TRAILER_LIMITS: HeadLimits = { line: 0, head: 4 * 1024, fields: 32 }

/** 16 hexadecimal digits, leading zeros included: more would not be a safe integer anyway. */
export const CHUNK_SIZE_DIGITS_MAX = 16
/** Extensions of one chunk. Nobody uses them, and they are not passed on. */
export const CHUNK_EXTENSION_LENGTH_MAX = 256
/** Extensions of all chunks of one body: else they are a body that no limit of bodies counts. */
export const CHUNK_EXTENSIONS_LENGTH_MAX = 16 * 1024

/** Decimal digits of a Content-Length: all safe integers and nothing longer. */
export const CONTENT_LENGTH_DIGITS_MAX = 16
