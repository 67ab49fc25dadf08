const port = 8080;

module.exports = {
  apps: [{
    name: 'web',
    script: 'npm',
    args: 'run start',
    instances: 'max',
    exec_mode: 'cluster',
    env: { PORT: port },
  }, {
    name: 'bot',
    script: './bot.py',
    interpreter: '/srv/venv/bin/python',
    interpreter_args: '-u',
    watch: ['lib'],
    cron_restart: '0 3 * * *',
    autorestart: true,
    restart_delay: 4000,
    instance_var: 'INDEX',
    instances: 2,
  }, {
    name: 'once',
    script: './migrate.sh',
    autorestart: false,
    colour: 'blue',
  }],
};
