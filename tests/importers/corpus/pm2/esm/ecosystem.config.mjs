export default {
  apps: [
    { name: 'edge', script: './edge.mjs', env: { PORT: '4000' }, env_staging: { PORT: '4100' } },
  ],
};
