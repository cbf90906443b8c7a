import { type Template, TypeGuards, toValueSync, Value } from 'liquidjs';

/** The names that a template reads and does not make itself, as paths: `['data', 'url']`. Linear; liquidjs' own takes the square. */
export function findVariables(templates: readonly Template[]): string[][] {
  const found = new Map<string, string[]>();
  const locals = new Set<string>();
  const scopes: Set<string>[] = [];

  const note = (path: string[]) => {
    const [root = ''] = path;
    if (!locals.has(root) && !scopes.some(scope => scope.has(root))) found.set(JSON.stringify(path), path);
  };
  const look = (argument: unknown): void => {
    if (argument instanceof Value || TypeGuards.isFilteredValueToken(argument)) {
      for (const token of argument.initial.postfix) look(token);
      for (const filter of argument.filters) for (const each of filter.args) look(Array.isArray(each) ? each[1] : each);
    } else if (TypeGuards.isRangeToken(argument)) {
      look(argument.lhs);
      look(argument.rhs);
    } else if (TypeGuards.isPropertyAccessToken(argument)) lookAtPath(argument.props);
  };
  /** A path ends where one of its names is a variable of its own. */
  const lookAtPath = (props: readonly unknown[]): void => {
    const path: string[] = [];
    let isPlain = true;
    for (const prop of props) {
      const isName = TypeGuards.isQuotedToken(prop) || TypeGuards.isNumberToken(prop) || TypeGuards.isWordToken(prop);
      if (!isName) look(prop);
      isPlain &&= isName;
      if (isPlain && isName) path.push(String(prop.content));
    }
    if (path.length) note(path);
  };
  const visit = (template: Template): void => {
    for (const argument of template.arguments?.() ?? []) look(argument);
    for (const name of template.localScope?.() ?? []) locals.add(name.content);
    const children = template.children ? (toValueSync(template.children(false, true)) as Template[]) : [];
    if (template.blockScope) scopes.push(new Set(template.blockScope()));
    for (const child of children) visit(child);
    if (template.blockScope) scopes.pop();
  };
  for (const template of templates) visit(template);
  return [...found.values()];
}
