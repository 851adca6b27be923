// The part of Markdown that models write: code, lists, headings, emphasis. It builds elements, never HTML text, so nothing
// that a model says can become markup.
import { ComponentChildren, JSX } from 'preact';

type Block =
  | { kind: 'code'; language: string; text: string }
  | { kind: 'heading'; level: number; text: string }
  | { kind: 'list'; ordered: boolean; items: string[] }
  | { kind: 'paragraph'; text: string };

const bullet = /^\s*[-*+]\s+(.*)$/;
const numbered = /^\s*\d+[.)]\s+(.*)$/;
const heading = /^(#{1,4})\s+(.*)$/;
const fence = /^\s*```(\S*)\s*$/;

function parse(source: string): Block[] {
  const blocks: Block[] = [];
  const lines = source.split('\n');
  for (let i = 0; i < lines.length; ) {
    const opening = fence.exec(lines[i]);
    if (opening) {
      const start = ++i;
      while (i < lines.length && !fence.test(lines[i])) ++i;
      blocks.push({ kind: 'code', language: opening[1], text: lines.slice(start, i).join('\n') });
      ++i;
      continue;
    }
    const title = heading.exec(lines[i]);
    if (title) {
      blocks.push({ kind: 'heading', level: title[1].length, text: title[2] });
      ++i;
      continue;
    }
    const pattern = bullet.test(lines[i]) ? bullet : numbered.test(lines[i]) ? numbered : null;
    if (pattern) {
      const items: string[] = [];
      for (let match; i < lines.length && (match = pattern.exec(lines[i])); ++i) items.push(match[1]);
      blocks.push({ kind: 'list', ordered: pattern === numbered, items });
      continue;
    }
    const start = i;
    while (i < lines.length && lines[i].trim() !== '' && !startsBlock(lines[i])) ++i;
    if (i > start) blocks.push({ kind: 'paragraph', text: lines.slice(start, i).join('\n') });
    else ++i;
  }
  return blocks;
}

const startsBlock = (line: string) => [fence, heading, bullet, numbered].some((pattern) => pattern.test(line));

const spans = /(`[^`\n]+`)|(\*\*[^*\n]+\*\*)|(\*[^*\n]+\*)/;

function inline(text: string): ComponentChildren[] {
  return text.split(spans).filter((part) => part !== undefined && part !== '').map((part) => {
    if (/^`.+`$/.test(part)) return <code>{part.slice(1, -1)}</code>;
    if (/^\*\*.+\*\*$/.test(part)) return <strong>{part.slice(2, -2)}</strong>;
    if (/^\*.+\*$/.test(part)) return <em>{part.slice(1, -1)}</em>;
    return part;
  });
}

function draw(block: Block): JSX.Element {
  switch (block.kind) {
    case 'code':
      return <pre data-language={block.language || undefined}><code>{block.text}</code></pre>;
    case 'heading': {
      const Tag = `h${Math.min(block.level + 2, 6)}` as 'h3';
      return <Tag>{inline(block.text)}</Tag>;
    }
    case 'list': {
      const items = block.items.map((item) => <li>{inline(item)}</li>);
      return block.ordered ? <ol>{items}</ol> : <ul>{items}</ul>;
    }
    case 'paragraph':
      return <p>{inline(block.text)}</p>;
  }
}

export function Markdown({ source }: { source: string }) {
  return <>{parse(source).map(draw)}</>;
}
