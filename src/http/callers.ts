/** Headers in which a request, once authorised, carries the id of its API key, what that may do, and the id of its session. */
export const KEY_ID = 'x-inlet-key-id';
export const SCOPE = 'x-inlet-scope';
export const SESSION_ID = 'x-inlet-session-id';
