//! Frames that stay on the GPU.
//!
//! [`kernels`] holds what runs on the device: conversion between NV12 and RGB f32, resizing and
//! overlays, as PTX text that any driver since CUDA 10 loads.

pub mod kernels;
