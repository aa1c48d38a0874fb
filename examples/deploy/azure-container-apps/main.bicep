param location string = resourceGroup().location
param environmentId string
param image string

resource chat 'Microsoft.App/containerApps@2024-03-01' = {
  name: 'chat'
  location: location
  properties: {
    environmentId: environmentId
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: true
        targetPort: 8080
        transport: 'http'
      }
    }
    template: {
      terminationGracePeriodSeconds: 30
      containers: [
        {
          name: 'chat'
          image: image
          args: ['-addr', ':8080', '-json', '-drain', '20s']
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/startupz'
                port: 8080
              }
              periodSeconds: 3
              timeoutSeconds: 1
              failureThreshold: 10
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/readyz'
                port: 8080
              }
              periodSeconds: 2
              timeoutSeconds: 1
              failureThreshold: 3
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/livez'
                port: 8080
              }
              periodSeconds: 10
              timeoutSeconds: 2
              failureThreshold: 3
            }
          ]
        }
      ]
      scale: {
        minReplicas: 2
        maxReplicas: 10
      }
    }
  }
}
