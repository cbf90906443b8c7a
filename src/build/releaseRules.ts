/** What is there when a release is asked for. */
interface State {
  version: string;
  changelog: string;
  /** As `git status --porcelain` says. */
  status: string;
  head: string;
  /** The commit of the version's tag, where there is one. */
  tagged: string | null;
}

/** The text between a heading of the changelog and the next one; null where there is no such heading. */
function findSection(changelog: string, heading: RegExp): { title: string; text: string } | null {
  const [title] = heading.exec(changelog) ?? [];
  if (title === undefined) return null;
  const [text = ''] = changelog.slice(changelog.indexOf(title) + title.length).split(/^## /m);
  return { title, text: text.trim() };
}

/** What keeps this version from being released, each with what to do. */
export function findObstacles({ version, changelog, status, head, tagged }: State): string[] {
  const obstacles: string[] = [];
  const escaped = version.replaceAll('.', '\\.');
  const section = findSection(changelog, new RegExp(`^## ${escaped}(?: .*)?$`, 'm'));
  const dated = new RegExp(`^## ${escaped} \\(\\d{4}-\\d\\d-\\d\\d\\)$`);
  if (!section)
    obstacles.push(`CHANGELOG.md has no section "## ${version}". Write it, or change the version in package.json`);
  else {
    if (!dated.test(section.title))
      obstacles.push(`CHANGELOG.md: "${section.title}" has no date. Write "## ${version} (YYYY-MM-DD)"`);
    if (!section.text) obstacles.push(`CHANGELOG.md says nothing of ${version}`);
  }
  const coming = findSection(changelog, /^## Unreleased$/m);
  if (!coming)
    obstacles.push('CHANGELOG.md has no section "## Unreleased" for what comes next. Put an empty one on top');
  else if (coming.text)
    obstacles.push(`CHANGELOG.md: what stands under Unreleased is part of this build. Move it to ${version}`);
  if (status) obstacles.push('there are changes that are not committed. Commit them, or put them aside');
  if (tagged !== null && tagged !== head)
    obstacles.push(`v${version} is tagged already, at another commit. Raise the version in package.json`);
  return obstacles;
}
