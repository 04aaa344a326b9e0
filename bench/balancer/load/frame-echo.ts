// The origin's side of a WebSocket: each short frame with a mask comes back without one.

type Writable = { write(bytes: Buffer): unknown; destroy(): unknown }

const LENGTH_BITS = 0x7f
const MASK_BIT = 0x80
const HEAD_BYTES = 6
/** What is longer has another head, and nobody sends it here. */
const SHORT_MAX = 125

/** Takes what a socket reads. `onFrame`: for each frame. Ends the socket at a frame it cannot. */
export function createFrameEcho(socket: Writable, onFrame: () => void): (bytes: Buffer) => void {
  let pending: Buffer = Buffer.alloc(0)
  return (bytes) => {
    const all = pending.length === 0 ? bytes : Buffer.concat([pending, bytes])
    const out = Buffer.allocUnsafe(all.length)
    let size = 0
    let at = 0
    while (all.length - at >= HEAD_BYTES) {
      const second = all[at + 1] as number
      const length = second & LENGTH_BITS
      if (length > SHORT_MAX || (second & MASK_BIT) === 0) {
        socket.destroy()
        return
      }
      if (all.length - at < HEAD_BYTES + length) break
      out[size] = all[at] as number
      out[size + 1] = length
      for (let index = 0; index < length; index++) {
        const mask = all[at + 2 + (index & 3)] as number
        out[size + 2 + index] = (all[at + HEAD_BYTES + index] as number) ^ mask
      }
      size += 2 + length
      at += HEAD_BYTES + length
      onFrame()
    }
    pending = all.subarray(at)
    if (size > 0) socket.write(out.subarray(0, size))
  }
}
