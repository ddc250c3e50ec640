// The virtual network: one subnet that the app sends from, one for private endpoints.

@description('Name of the virtual network.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Address space, /24 or larger.')
param addressPrefix string

@description('Give both subnets a network security group. It lets nothing out to ports 22 and 3389.')
param networkSecurityGroups bool

resource security 'Microsoft.Network/networkSecurityGroups@2025-05-01' = if (networkSecurityGroups) {
  name: '${name}-nsg'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'deny-remote-management'
        properties: {
          access: 'Deny'
          direction: 'Outbound'
          priority: 100
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRanges: ['22', '3389']
        }
      }
    ]
  }
}

// Not a later version: from 2025-07-01 on new subnets are private by default, and the app's has no other way out.
resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressPrefix]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          networkSecurityGroup: networkSecurityGroups ? { id: security.id } : null
          // Flex Consumption asks for this delegation, and for a subnet of its own.
          delegations: [
            {
              name: 'functions'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          networkSecurityGroup: networkSecurityGroups ? { id: security.id } : null
          // The group counts for endpoints too only where their policies are on.
          privateEndpointNetworkPolicies: networkSecurityGroups ? 'NetworkSecurityGroupEnabled' : 'Disabled'
          defaultOutboundAccess: false
        }
      }
    ]
  }

  resource appSubnet 'subnets' existing = {
    name: 'app'
  }

  resource endpointsSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

output virtualNetworkId string = network.id
output appSubnetId string = network::appSubnet.id
output endpointsSubnetId string = network::endpointsSubnet.id
