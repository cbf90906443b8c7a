import { computed, signal } from '@preact/signals';
import { ApiError, callApi, type Self, watchSignOut } from './api.ts';

/** Who is signed in. `undefined`: not known yet; null: nobody. */
export const self = signal<Self | null | undefined>(undefined);
export const mayWrite = computed(() => self.value?.scope === 'all');
/** Why nobody could be asked who is signed in. */
export const trouble = signal<string | null>(null);

watchSignOut(() => {
  self.value = null;
});

export async function loadSelf(): Promise<void> {
  trouble.value = null;
  try {
    self.value = await callApi<Self>('GET', '/session');
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) self.value = null;
    else trouble.value = error.message;
  }
}

/** @throws ApiError */
export async function signIn(given: { key: string } | { token: string }): Promise<void> {
  await callApi('POST', '/session', given);
  await loadSelf();
}

/** @throws ApiError */
export async function signOut(): Promise<void> {
  await callApi('DELETE', '/session');
  self.value = null;
}
