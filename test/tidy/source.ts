// A source file as the rules of the house read it: `code` without its comments and the contents
// of its strings, `comments` without its code. Both keep every line and column of the text.

export type Source = { path: string; text: string; code: string; comments: string }

export function sourceOf(path: string, text: string): Source {
  const { code, comments } = parted(text)
  return { path, text, code, comments }
}

/** 1 for the first line. */
export function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

/** What stands in quotes at `index`, where `code` has the opening quote. */
export function quotedAt({ text, code }: Source, index: number): string {
  const end = code.indexOf(code.charAt(index), index + 1)
  return text.slice(index + 1, end === -1 ? undefined : end)
}

/** Where a slash begins a regular expression and is no division. */
const BEFORE_REGEX = /(^|[=(,:;!&|?{}[\n+\-*<>%~^]|\b(return|typeof|case|in|of|await|yield))\s*$/

function parted(text: string): { code: string; comments: string } {
  const code = [...blank(text)]
  const comments = [...code]
  // Depth of braces at which each open template goes on.
  const templates: number[] = []
  let depth = 0
  let at = 0

  function copy(to: string[], end: number): void {
    for (; at < end; at += 1) to[at] = text.charAt(at)
  }

  /** Skips to the end of a quoted text; only its quotes are code. */
  function quoted(quote: string): void {
    copy(code, at + 1)
    while (at < text.length && text[at] !== quote) at += text[at] === '\\' ? 2 : 1
    copy(code, at + 1)
  }

  /** Skips to the end of a template or to its next `${`. */
  function template(): void {
    while (at < text.length && text[at] !== '`' && !text.startsWith('${', at)) {
      at += text[at] === '\\' ? 2 : 1
    }
    if (text[at] === '`') {
      copy(code, at + 1)
      return
    }
    templates.push(depth)
    depth += 1
    copy(code, at + 2)
  }

  function regex(): void {
    copy(code, at + 1)
    for (let isInClass = false; at < text.length && (text[at] !== '/' || isInClass); ) {
      if (text[at] === '[') isInClass = true
      if (text[at] === ']') isInClass = false
      at += text[at] === '\\' ? 2 : 1
    }
    copy(code, at + 1)
  }

  while (at < text.length) {
    const char = text.charAt(at)
    if (text.startsWith('//', at)) copy(comments, endOf(text, '\n', at))
    else if (text.startsWith('/*', at)) copy(comments, endOf(text, '*/', at) + 2)
    else if (char === "'" || char === '"') quoted(char)
    else if (char === '`') {
      copy(code, at + 1)
      template()
    } else if (char === '/' && BEFORE_REGEX.test(code.slice(Math.max(0, at - 40), at).join(''))) {
      regex()
    } else {
      if (char === '{') depth += 1
      if (char === '}') depth -= 1
      copy(code, at + 1)
      if (char === '}' && templates.at(-1) === depth) {
        templates.pop()
        template()
      }
    }
  }
  return { code: code.join(''), comments: comments.join('') }
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/gu, (char) => ' '.repeat(char.length))
}

function endOf(text: string, what: string, from: number): number {
  const end = text.indexOf(what, from)
  return end === -1 ? text.length : end
}
