// A list whose first item is the smallest by an order that may change for the first one alone.

export function heapOf<T>(items: readonly T[], compare: (a: T, b: T) => number): T[] {
  const heap = [...items]
  for (let at = Math.floor(heap.length / 2) - 1; at >= 0; at -= 1) sink(heap, compare, at)
  return heap
}

export function removeFirst<T>(heap: T[], compare: (a: T, b: T) => number): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  heap[0] = last
  sink(heap, compare)
}

/** Puts the first one where it belongs, when all others are in order. */
export function sink<T>(heap: T[], compare: (a: T, b: T) => number, from = 0): void {
  let at = from
  for (;;) {
    const item = heap[at]
    let least = at
    for (const child of [2 * at + 1, 2 * at + 2]) {
      const [below, above] = [heap[child], heap[least]]
      if (below !== undefined && above !== undefined && compare(below, above) < 0) least = child
    }
    const swapped = heap[least]
    if (least === at || item === undefined || swapped === undefined) return
    heap[at] = swapped
    heap[least] = item
    at = least
  }
}
