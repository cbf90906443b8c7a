export async function identities(_o: unknown): Promise<string> {
  return '';
}
