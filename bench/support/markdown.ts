/** A table whose first row is its head, the first column flush left, the others flush right. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = line(head.map((_, column) => (column === 0 ? ':---' : '---:')));
  return [line(head), rule, ...body.map(line)].join('\n');
}
