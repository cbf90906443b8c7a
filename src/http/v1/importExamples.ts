// Answers about imports and exports as the documentation shows them.
export const csv =
  'id,email,firstName,lastName,userId,source,userGroup,subscribed,mailingLists,mailingListNames,providerIds,createdAt,updatedAt,plan\r\n';
export const report = 'row,column,message,email,firstName\r\n17,email,is no email address.,ada@,Ada\r\n';
export const importing = {
  id: 'imp_0mwt0c8w00008a1b2c3d4e5f',
  state: 'done',
  dryRun: false,
  columns: { email: 'email', firstName: 'firstName', planName: 'planName', stripe: 'stripe', Notes: null },
  mailingLists: ['list_0mwt0c8w00004z1a2b3c4d5e'],
  rows: 1204,
  created: 1130,
  updated: 11,
  unchanged: 62,
  failed: 1,
  bytes: 61_204,
  bytesDone: 61_204,
  error: null,
  createdAt: '2026-11-01T12:00:00.000Z',
  finishedAt: '2026-11-01T12:00:00.000Z',
};
